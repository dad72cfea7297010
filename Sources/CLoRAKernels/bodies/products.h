// Products of many rows (LK_PRODUCTS): the tile, how its factors are packed, and the CPU's limit.
#pragma once
#include "gemm.h"
#include "limit.h"
