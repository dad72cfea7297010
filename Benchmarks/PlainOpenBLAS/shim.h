// OpenBLAS's CBLAS interface. pkg-config finds the header and the library.
#include <cblas.h>
