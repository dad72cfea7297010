public import LoRATensor

/// What tells one base model from another by its numbers: cheap, and the same whichever files hold
/// them.
///
/// ```swift
/// let trained = try PretrainedModel(path: "SmolLM2-135M").fingerprint
/// let other = try PretrainedModel(path: "smollm2-135m-q8_0.gguf").fingerprint
/// trained.agreement(with: other)      // .otherType
/// ```
///
/// It is over sampled rows of a model's matrices: those in its blocks and the table of token
/// embeddings, under the names that Hugging Face's checkpoints have, in these checkpoints' order of
/// rows. The output head is left out, which some files repeat and others tie; so are vectors. It has
/// two parts:
///
/// - ``digest``: SHA-256 of the sampled numbers, rounded to bfloat16. Files of one base as float32 and
///   bfloat16 have the same, in any sharding, from Hugging Face or in GGUF.
/// - Up to 256 of these numbers, each with how far the number may lie from it that was rounded to the
///   stored type. Where one of two bases is float16 or quantized, these tell whether they are the same.
///
/// ``agreement(with:)`` says how sure the second part is. Computing one reads a row of each of at most
/// 256 matrices, whatever the model's size.
///
/// The definition, byte by byte, is in `Documentation/Fingerprint.md` of the package. It never changes:
/// another would be ``version`` 2.
public struct BaseFingerprint: Sendable, Hashable {
  /// Which definition fingerprints of this library follow.
  public static let version = 1

  /// SHA-256 of names, shapes and sampled numbers, in hexadecimal.
  public let digest: String
  /// SHA-256 of names and shapes alone, cut to 32 hexadecimal digits.
  public let structure: String
  /// The type that most of the sampled matrices are stored in.
  public let type: DType
  /// Some of the sampled numbers.
  package let samples: [Sample]

  /// A number, and how far the one may lie from it that it was rounded from.
  package struct Sample: Sendable, Hashable {
    package let value: Float
    /// Infinite where the number tells nothing.
    package let tolerance: Float
  }

  package init(digest: String, structure: String, type: DType, samples: [Sample]) {
    self.digest = digest
    self.structure = structure
    self.type = type
    self.samples = samples
  }

  /// The first 12 digits of ``digest``: enough to tell models apart when reading.
  public var shortDigest: String { String(digest.prefix(12)) }
}

extension BaseFingerprint: CustomStringConvertible {
  /// As in "3f29c01b77aa (bfloat16)".
  public var description: String { "\(shortDigest) (\(type))" }
}

// MARK: - Comparing

extension BaseFingerprint {
  /// What two fingerprints say of their bases.
  public enum Agreement: Sendable, Hashable {
    /// The same numbers, but for a rounding to bfloat16.
    case same
    /// The same base, of which one is stored as float16 or quantized.
    case otherType
    /// Different bases; or one was trained further.
    case other
  }

  /// Whether two fingerprints are of one base.
  ///
  /// Exact among float32 and bfloat16. Where one is float16 or quantized, 15 of 16 samples must lie
  /// where rounding can have put them. Another base does not pass. Of a base that was trained further
  /// the coarser type decides what is seen: with float16 a change of the weights by 0.1 % of their
  /// spread, with 8 bits one by 0.5 %, with 6 or 5 bits one by 2 %, with 4 bits one by 4 %. What was
  /// trained less and stored in 4 bits is taken for the base. Two quantizations of one base are the
  /// same base of another type.
  public func agreement(with other: BaseFingerprint) -> Agreement {
    if digest == other.digest { return .same }
    guard structure == other.structure, samples.count == other.samples.count,
      type.rounds || other.type.rounds
    else { return .other }
    let pairs = zip(samples, other.samples).filter {
      $0.tolerance.isFinite && $1.tolerance.isFinite
    }
    let inside = pairs.count { a, b in
      // The last term is for sums like Q4_1's, which programs round differently.
      (a.value - b.value).magnitude
        <= a.tolerance + b.tolerance + max(a.value.magnitude, b.value.magnitude) * 0x1p-20
    }
    return pairs.count >= 8 && inside * 16 >= pairs.count * 15 ? .otherType : .other
  }
}

extension DType {
  /// Whether weights stored in this type are no longer those of the bfloat16 or float32 base.
  fileprivate var rounds: Bool { self == .float16 || isQuantized }
}
