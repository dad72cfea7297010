import Foundation
import Testing

@testable import LoRATensor

/// Traps say what and why, in optimized builds too: CI runs these in release.
@Suite struct MisuseTests {
  private func expect(_ result: ExitTest.Result?, _ words: String...) {
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    for word in words { #expect(text.contains(word), "in: \(text.prefix(400))") }
  }

  @Test func addingShapesThatDoNotFit() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([2, 3]) + Tensor.zeros([4])
    }
    expect(result, "Tensor+Arithmetic.swift", "[2, 3]", "[4]", "broadcast")
  }

  @Test func multiplyingMatricesThatDoNotFit() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([2, 3]).matrixProduct(with: Tensor.zeros([4, 5]), transposeOther: true)
    }
    expect(result, "product", "[2, 3]", "[4, 5]ᵀ")
  }

  @Test func readingAnotherType() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor([1, 2] as [Int64]).scalars()
    }
    expect(result, "int64", "[2]", "float32", "converted(to:)")
  }

  @Test func aShapeOfMoreElementsThanCanBeCounted() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([1 << 40, 1 << 40])
    }
    expect(result, "1099511627776", "Shape(checking:)")
  }

  @Test func moreMemoryThanThereIs() async {
    let result = await #expect(
      processExitsWith: .exitCode(7), observing: [\.standardErrorContent]
    ) {
      BufferPool.shared.exhaustionHandler = { message in
        misuseTestsEnd(message)
      }
      _ = Tensor.zeros([1 << 50])
    }
    expect(result, "out of memory", "4294967296 MiB")
  }

  @Test func moreMemoryThanThereIsTrapsUnlessHandled() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([1 << 50])
    }
    expect(result, "out of memory", "4294967296 MiB", "fewer or shorter rows")
  }
}

private func misuseTestsEnd(_ message: String) -> Never {
  FileHandle.standardError.write(Data(message.utf8))
  exit(7)
}
