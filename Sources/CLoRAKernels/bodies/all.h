// Every vector body, for the family that the including file names.
//
// The bodies are plain C, written so that the compiler vectorizes them: no branch in a hot loop, no
// call that is not inlined, reductions with their lanes written out. The order of every sum is
// fixed by the code, never by the number of threads. Each file includes those that it calls.
#pragma once
#include "convert.h"
#include "elementwise.h"
#include "unary.h"
#include "optimizer.h"
#include "reduce.h"
#include "random.h"
#include "rows.h"
#include "norms.h"
#include "rotary.h"
#include "embedding.h"
#include "loss.h"
#include "attention.h"
#include "panels.h"
#include "decoding.h"
#include "gemv.h"
#include "blocks.h"
#include "blocks_quantize.h"
#include "products.h"
