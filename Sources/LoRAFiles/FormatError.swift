import LoRAJSON
package import LoRATensor

/// A file whose content is not what it should be: which file, what in it, what was expected and
/// found, and what to do about it.
///
/// ```text
/// model.safetensors: tensor 'lm_head.weight': its bytes 0..<9000000 lie beyond the 4096 bytes of
/// data; copy or download the file again
/// ```
///
/// What the operating system refuses while writing is a `FileError` of LoRATensor instead.
public struct FormatError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What went wrong, for programs that branch on it.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// A file that is needed does not exist.
    case missingFile
    /// The operating system refuses to read a file.
    case unreadable
    /// The file ends before its content does.
    case truncated
    /// The file breaks its format's rules.
    case malformed
    /// The file is well formed, and this library cannot do what it says.
    case unsupported
    /// A tensor that must be there is not.
    case missingTensor
    /// A tensor is there that belongs to nothing.
    case unexpectedTensor
    /// A tensor's extents are not the expected ones.
    case shapeMismatch
    /// A value or the elements of a tensor have another type than expected.
    case typeMismatch
    /// A NaN or an infinity where only numbers make sense.
    case nonFinite
    /// A value of the right type outside what it may be.
    case invalidValue
    /// A key that must be there is not.
    case missingKey
    /// A name occurs twice.
    case duplicate
    /// An adapter says that it was made for another base model than the one it is attached to.
    case otherBase
  }

  /// What went wrong, for programs that branch on it.
  public let kind: Kind
  /// The file's path, or what stands for it.
  public let file: String
  /// What in the file is wrong, as in "tensor 'lm_head.weight'" or "'hidden_size'"; empty if it is
  /// the file as a whole.
  public let subject: String
  /// What was expected and what was found.
  public let problem: String
  /// What to do about it; empty if nothing better than reading the problem comes to mind.
  public let remedy: String

  /// Creates an error from its parts.
  public init(
    _ kind: Kind, file: String, subject: String = "", problem: String, remedy: String = ""
  ) {
    self.kind = kind
    self.file = file
    self.subject = subject
    self.problem = problem
    self.remedy = remedy
  }

  /// One line: `<file>: <subject>: <problem>; <remedy>`, without the parts that are empty.
  public var description: String {
    let places = [file, subject].filter { !$0.isEmpty }.map { $0 + ": " }.joined()
    let text = places + problem + (remedy.isEmpty ? "" : "; " + remedy)
    // Names come from files: a line break in one must not break the line.
    return text.contains(where: \.isNewline)
      ? String(text.map { $0.isNewline ? " " : $0 }) : text
  }
}

extension FormatError {
  /// An error about the tensor `name`.
  package init(
    _ kind: Kind, file: String, tensor name: String, _ problem: String, remedy: String = ""
  ) {
    self.init(kind, file: file, subject: "tensor '\(name)'", problem: problem, remedy: remedy)
  }

  /// An error about a number of the tensor `name` that can't be written.
  package init(file: String, tensor name: String, _ number: UnstorableNumber) {
    self.init(file: file, subject: "tensor '\(name)'", number)
  }

  /// An error about a number of `subject` that can't be written.
  package init(file: String, subject: String, _ number: UnstorableNumber) {
    self.init(
      .nonFinite, file: file, subject: subject, problem: "\(number)",
      remedy: number.value.isFinite
        ? "nothing was written; use smaller strengths or scales, or store a type with a wider range "
          + "(float32 or bfloat16)"
        : "nothing was written; what it was computed from overflowed or is damaged")
  }

  /// An error about the key `key` of a JSON object.
  package init(
    _ kind: Kind, file: String, key: String, _ problem: String, remedy: String = ""
  ) {
    self.init(kind, file: file, subject: "'\(key)'", problem: problem, remedy: remedy)
  }
}

extension Tensor {
  /// The elements as `type`, for the tensor `name` of `file`. Throws ``FormatError/Kind/nonFinite`` if
  /// one of them is not a finite number of that type.
  package func stored(
    as type: DType, named name: String, file: String
  ) throws(FormatError) -> Tensor {
    do throws(UnstorableNumber) {
      return try stored(as: type)
    } catch {
      throw FormatError(file: file, tensor: name, error)
    }
  }
}

/// A string that equals another only if its UTF-8 bytes do: Swift takes "é" in one and in two code
/// points for the same name, file formats do not.
package struct ExactName: Hashable, Sendable {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (a: ExactName, b: ExactName) -> Bool { a.text.hasSameBytes(as: b.text) }

  package func hash(into hasher: inout Hasher) { text.hashBytes(into: &hasher) }
}

/// At most `limit` names, quoted, for an error that lists what there is.
package func listed(_ names: some Collection<String>, limit: Int = 8) -> String {
  let shown = names.prefix(limit).map { "'\($0)'" }.joined(separator: ", ")
  return names.count > limit ? "\(shown) and \(names.count - limit) more" : shown
}
