import LoRAKit
import PlainOpenBLAS

extension Workload {
  /// Matrix products over shapes, types and layouts, and plain OpenBLAS on as many threads.
  static var products: [Workload] {
    var all: [Workload] = []
    for (n, k) in [(2048, 2048), (2048, 8192), (16, 2048), (2048, 16)] {
      let flops = 2 * 512 * Double(n) * Double(k)
      // The larger ones ask for the same buffers, only larger.
      let isCounted = k <= 2048
      for type in [DType.float32, .bfloat16] {
        // x Wᵀ, then, in the backward pass, dy W.
        all.add(
          "Product-NT-\(type)-512x\(n)x\(k)", flops: flops, dtype: type, isCounted: isCounted
        ) {
          Factors(m: 512, n: n, k: k, type: type)
        } _: { factors in
          withoutGradients {
            ProductPrecision.withValue(.ofWeights) {
              blackHole(Variable(factors.x).linear(weight: Variable(factors.w)))
            }
          }
        }
        all.add(
          "Product-NT-then-NN-\(type)-512x\(n)x\(k)", flops: 2 * flops, dtype: type,
          isCounted: isCounted
        ) {
          Factors(m: 512, n: n, k: k, type: type)
        } _: { factors in
          ProductPrecision.withValue(.ofWeights) {
            let y = Variable(factors.parameter).linear(weight: Variable(factors.w))
            blackHole(y.sum().gradients())
          }
        }
      }
      all.add("Product-TN-float32-512x\(n)x\(k)", flops: flops, isCounted: isCounted) {
        var random = SeededRandom(seed: 0, path: "products")
        return (random.normal([512, n]), random.normal([512, k]))
      } _: { state in
        // dyᵀ x
        let (dy, x) = state
        blackHole(dy.matrixProduct(with: x, transposeSelf: true))
      }
      all.add("PlainOpenBLAS-NT-512x\(n)x\(k)", flops: flops, isCounted: false) {
        openblas_set_num_threads(Int32(Threads.count))
        return OpenBLASProduct(m: 512, n: n, k: k)
      } _: {
        $0.run()
      }
    }
    return all
  }
}

/// x [m, k] and w [n, k].
private struct Factors {
  let x: Tensor
  let w: Tensor
  let parameter: Parameter

  init(m: Int, n: Int, k: Int, type: DType) {
    var random = SeededRandom(seed: 0, path: "products")
    x = random.normal([m, k])
    w = random.normal([n, k]).converted(to: type)
    parameter = Parameter(x)
  }
}

private struct OpenBLASProduct {
  let (m, n, k): (Int, Int, Int)
  let x: [Float]
  let w: [Float]
  var y: [Float]

  init(m: Int, n: Int, k: Int) {
    (self.m, self.n, self.k) = (m, n, k)
    var random = SeededRandom(seed: 0, path: "products")
    x = random.normal([m, k]).scalars()
    w = random.normal([n, k]).scalars()
    y = [Float](repeating: 0, count: m * n)
  }

  mutating func run() {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, Int32(m), Int32(n), Int32(k), 1, x, Int32(k), w,
      Int32(k), 0, &y, Int32(n))
  }
}
