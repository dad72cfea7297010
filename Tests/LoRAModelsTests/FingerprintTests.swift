import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

@testable import LoRAModels

/// What tells one base from another: the same in all its files, another for every other base.
@Suite struct FingerprintTests {
  private func open(_ name: String) throws -> PretrainedModel {
    try PretrainedModel(path: Fixtures.path("models/\(name)"))
  }

  /// As Tests/Reference/fingerprints.py computes them from the files alone: they never change.
  @Test func isAsItIsDefined() throws {
    let file = try FileSystem.readObject(Fixtures.path("fingerprints.json"))
    #expect(file.count >= 6)
    for (name, expected) in file {
      let fields = JSONFields(object: try #require(expected.objectValue), file: name)
      let read = try #require(try BaseFingerprint(fields))
      let found = try open(name).fingerprint
      #expect(found.digest == read.digest, "\(name)")
      #expect(found.structure == read.structure, "\(name)")
      #expect(found.type == read.type, "\(name)")
      let differing = zip(found.samples, read.samples).filter { $0 != $1 }
      #expect(found.samples.count == read.samples.count && differing.isEmpty, "\(name)")
      #expect(read.json.encoded(sortedKeys: true) == expected.encoded(sortedKeys: true))
    }
  }

  @Test func digestsAreThoseOfSHA256() {
    #expect(
      SHA256.digest(of: [])
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      SHA256.digest(of: Array("abc".utf8))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    // In pieces that end before, at and behind the ends of blocks; by Python's hashlib.
    var hash = SHA256()
    for count in [1, 62, 1, 64, 0, 65, 127, 129, 55, 56, 440] {
      [UInt8](repeating: UInt8(count % 251), count: count).withUnsafeBytes { hash.add($0) }
    }
    #expect(hash.digest == "8e5fefca42dbb3c11525ad6bc70b48a42bc95323757ac9a109c6a7a6c64d37df")
  }

  /// Every architecture that GGUF files can hold: rows that are permuted, projections that are fused or
  /// divided, experts in one tensor, norms plus one, tied heads.
  @Test(arguments: Fixtures.models) func filesOfOneBaseHaveOne(_ name: String) throws {
    let model = try open(name)
    let fingerprint = model.fingerprint
    let narrow = try PretrainedModel(path: model.path, type: .bfloat16).fingerprint
    #expect(narrow.digest == fingerprint.digest)
    let folder = try Fixtures.temporaryFolder()
    try model.save(to: folder + "/float32", type: .float32)
    #expect(
      try PretrainedModel(path: folder + "/float32").fingerprint.digest == fingerprint.digest)
    for type in [DType.float32, .bfloat16, .float16, .q8_0] {
      let file = "\(folder)/\(type).gguf"
      do {
        try model.saveGGUF(to: file, type: type)
      } catch is FormatError {
        return
      }
      let other = try PretrainedModel(path: file).fingerprint
      let isExact = type == .float32 || type == .bfloat16
      let found = fingerprint.agreement(with: other)
      if isExact {
        #expect(found == .same, "\(type): \(fingerprint.structure) \(other.structure)")
      } else {
        #expect(found != .other, "\(type)")
        #expect(other.agreement(with: fingerprint) == found)
        let widened = try PretrainedModel(path: file, type: .bfloat16).fingerprint
        #expect(widened.agreement(with: fingerprint) != .other, "\(type) as bfloat16")
      }
    }
  }

  /// Models of one shape from two seeds, and all fixtures among each other.
  @Test func otherBasesHaveOthers() throws {
    let all = try Fixtures.models.map { ($0, try open($0).fingerprint) }
    for (index, (name, fingerprint)) in all.enumerated() {
      for (other, second) in all[(index + 1)...] {
        #expect(fingerprint.agreement(with: second) == .other, "\(name) and \(other)")
      }
    }
    let configuration = try open("llama-grouped").configuration
    let seeds = try [1, 2].map { seed in
      BaseFingerprint(of: try configuration.randomModel(seed: seed))
    }
    #expect(seeds[0].structure == seeds[1].structure)
    #expect(seeds[0].agreement(with: seeds[1]) == .other)
  }

  /// A matrix of a base as `type` has it, here with blocks that are made by the formats' definitions.
  private func matrices(
    _ type: DType, change: Float = 0, seed: UInt64 = 7
  ) -> [BaseFingerprint.Matrix] {
    (0..<32).map { index in
      let path = "layers.\(index).weight"
      var (random, noise) = (
        SeededRandom(seed: seed, path: path), SeededRandom(seed: 99, path: path)
      )
      let base = random.normal([1, 256]).converted(to: .bfloat16).converted(to: .float32)
      let (values, changes) = (base.scalars(), noise.normal([1, 256]).scalars())
      let trained = zip(values, changes).map { $0 + change * $1 }
      return BaseFingerprint.Matrix(
        name: path, shape: [1, 256], storedType: type, valueType: type
      ) { _ in Rounding.rounded(trained, to: type) }
    }
  }

  /// Types of a base are known as its own; a training that is larger than their rounding is seen, and
  /// so is another base.
  @Test(arguments: [
    (DType.float16, Float(0.001)), (.q8_0, 0.01), (.q5_0, 0.04), (.q4_0, 0.06), (.q4_1, 0.06),
    (.q5_1, 0.04),
  ])
  func typesOfOneBaseAreKnown(_ type: DType, _ change: Float) {
    let base = BaseFingerprint(of: matrices(.bfloat16))
    let stored = BaseFingerprint(of: matrices(type))
    // Every bfloat16 number of this size is a float16 one.
    #expect(base.agreement(with: stored) == (type == .float16 ? .same : .otherType))
    #expect(stored.agreement(with: base) == base.agreement(with: stored))
    let coarse = BaseFingerprint(of: matrices(.q4_0))
    #expect(stored.agreement(with: coarse) == (type == .q4_0 ? .same : .otherType))
    let trained = BaseFingerprint(of: matrices(type, change: change))
    #expect(base.agreement(with: trained) == .other)
    let other = BaseFingerprint(of: matrices(type, seed: 8))
    #expect(base.agreement(with: other) == .other)
    #expect(coarse.agreement(with: other) == .other)
  }

  /// Among exact types the slightest training counts; a rounding to bfloat16 does not.
  @Test func exactTypesAreComparedExactly() {
    let base = BaseFingerprint(of: matrices(.float32))
    #expect(base.agreement(with: BaseFingerprint(of: matrices(.bfloat16))) == .same)
    for type in [DType.float32, .bfloat16] {
      let trained = BaseFingerprint(of: matrices(type, change: 0.0005))
      #expect(base.agreement(with: trained) == .other)
    }
  }

  @Test func damagedOnesAreRefused() throws {
    var object = try #require(BaseFingerprint(of: matrices(.q8_0)).json.objectValue)
    func read() throws -> BaseFingerprint? {
      try BaseFingerprint(JSONFields(object: object, file: "adapter"))
    }
    #expect(try read() == BaseFingerprint(of: matrices(.q8_0)))
    let whole = object
    let damages: [(key: String, value: JSONValue, kind: FormatError.Kind)] = [
      ("digest", "abc", .invalidValue), ("samples", "0123456789ag", .invalidValue),
      ("samples", "0123", .invalidValue), ("samples", "7fc000000000", .nonFinite),
      ("type", "float4", .invalidValue), ("structure", nil, .missingKey),
      ("version", nil, .missingKey), ("version", "1", .typeMismatch),
    ]
    for (key, value, kind) in damages {
      object = whole
      object[key] = value
      let error = #expect(throws: FormatError.self) { try read() }
      #expect(error?.kind == kind && error?.subject == "'\(key)'", "\(key)")
    }
    object = whole
    object["version"] = 2
    #expect(try read() == nil)
  }
}

/// GGUF's quantizations of a row, by their definitions in llama.cpp's ggml-quants.c.
private enum Rounding {
  static func rounded(_ row: [Float], to type: DType) -> [Float] {
    switch type {
    case .float32: return row
    case .float16, .bfloat16:
      return Tensor(row).converted(to: type).converted(to: .float32).scalars()
    default: break
    }
    return stride(from: 0, to: row.count, by: 32).flatMap { start in
      block(Array(row[start..<start + 32]), type)
    }
  }

  private static func half(_ x: Float) -> Float { Float(Float16(x)) }

  private static func block(_ x: [Float], _ type: DType) -> [Float] {
    let extreme = x.max { $0.magnitude < $1.magnitude } ?? 0
    let (least, greatest) = (x.min() ?? 0, x.max() ?? 0)
    func symmetric(_ half: Float) -> [Float] {
      let d = extreme / -half
      return x.map {
        (min(2 * half - 1, ($0 / d + half + 0.5).rounded(.down)) - half) * self.half(d)
      }
    }
    func affine(_ levels: Float) -> [Float] {
      let d = (greatest - least) / levels
      return x.map { min(levels, (($0 - least) / d + 0.5).rounded(.down)) * half(d) + half(least) }
    }
    return switch type {
    case .q4_0: symmetric(8)
    case .q5_0: symmetric(16)
    case .q4_1: affine(15)
    case .q5_1: affine(31)
    default:
      x.map { ($0 / (extreme.magnitude / 127)).rounded() * half(extreme.magnitude / 127) }
    }
  }
}
