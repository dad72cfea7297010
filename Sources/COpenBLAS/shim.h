// OpenBLAS's CBLAS interface. pkg-config finds the header and the library.
#include <cblas.h>
#include <stddef.h>

// The LAPACK routines that the library calls. OpenBLAS holds them, but its packages do not always
// bring a header of them: these are their Fortran interfaces, column-major, every argument by
// address. A Fortran compiler may expect the lengths of character arguments at the end.
//
// Source: Anderson et al., LAPACK Users' Guide, 3rd edition, 1999.

/// The singular value decomposition by divide and conquer.
void sgesdd_(const char *jobz, const blasint *m, const blasint *n, float *a, const blasint *lda,
             float *s, float *u, const blasint *ldu, float *vt, const blasint *ldvt, float *work,
             const blasint *lwork, blasint *iwork, blasint *info, size_t jobz_length);

/// The singular value decomposition by QR iteration: slower, and without the other's rare failures.
void sgesvd_(const char *jobu, const char *jobvt, const blasint *m, const blasint *n, float *a,
             const blasint *lda, float *s, float *u, const blasint *ldu, float *vt,
             const blasint *ldvt, float *work, const blasint *lwork, blasint *info,
             size_t jobu_length, size_t jobvt_length);

/// The LQ decomposition, whose Q stays a product of reflections.
void sgelqf_(const blasint *m, const blasint *n, float *a, const blasint *lda, float *tau,
             float *work, const blasint *lwork, blasint *info);

/// The rows of Q from such reflections.
void sorglq_(const blasint *m, const blasint *n, const blasint *k, float *a, const blasint *lda,
             const float *tau, float *work, const blasint *lwork, blasint *info);
