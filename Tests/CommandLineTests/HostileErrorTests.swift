import Foundation
import LoRAFiles
import LoRAFormats
import LoRAKit
import Testing

@testable import LoRAModels
@testable import lora

/// Errors of every type, with text that a terminal would obey wherever they hold text.
@Suite struct HostileErrorTests {
  private static let bell = "\u{1B}]0;owned\u{7}\u{9B}2J\u{202E}\u{200B}\r\nfake: line\u{0}"
  private static let shape: Shape = [2, 3]

  /// An error of every case; of those with one initializer, one whose every text is hostile.
  private static let all: [any Error] =
    FormatError.Kind.allCases.map {
      FormatError($0, file: bell, subject: bell, problem: bell, remedy: bell)
    } + [FileError(path: bell, operation: bell, reason: bell)]
    + [.unreadable, .malformed, .unsupported, .inconsistent].map {
      TokenizerError($0, file: bell, place: bell, expected: bell, found: bell, advice: bell)
    }
    + CombinationError.Kind.allCases.map {
      CombinationError($0, subject: bell, problem: bell, remedy: bell)
    } + adapters + training + sequences + algebra + templates + constraints
    + [NonFiniteOutput.Cause.adapters, .base].map { NonFiniteOutput(layer: bell, cause: $0) }
    + [
      GenerationBatch.RequestFailure(id: 1, error: NonFiniteOutput(layer: bell, cause: .base)),
      CommandError(bell), CommandError(bell, FileError(path: bell, operation: bell, reason: bell)),
      ContradictionError(description: bell), QuickstartError.baseChanged,
    ]

  private static let templates: [TemplateError] = [
    .syntax, .undefined, .value, .raised, .forbidden, .limit, .input, .mask,
  ].map { TemplateError($0, bell, line: 1, column: 2) }

  private static let constraints: [ConstraintError] = [
    .malformed, .unsupported, .unsatisfiable, .tooLarge, .notAllowed,
  ].map { ConstraintError($0, place: bell, expected: bell, found: bell, advice: bell) }

  private static let adapters: [AdapterError] = [
    .noMatchingLayer(selector: bell, available: [bell, bell]),
    .noMatchingLayer(selector: bell, available: []), .nameTaken(bell),
    .unknownAdapter(bell, available: [bell]), .unknownAdapter(bell, available: []),
    .invalidValue(parameter: bell, value: bell, expected: bell),
    .shapeMismatch(layer: bell, expected: bell, found: bell),
    .unknownLayer(bell, available: [bell]), .nonFinite(layer: bell),
    .overflow(layer: bell, problem: bell, remedy: bell), .merged(adapters: [bell]), .notMerged,
    .notEnoughMemory(rank: 8, needed: 1 << 40, available: 1 << 30),
    .brokenModule(problems: [bell, bell]), .unsupported(layer: bell, reason: bell),
  ]

  private static let training: [TrainingError] = [
    .emptyData(source: bell), .noTargets(example: 1),
    .unequalLengths(example: 1, tokens: 2, targets: 3),
    .exampleTooLong(example: 1, length: 9, limit: 8),
    .tokenOutOfVocabulary(id: 9, example: 1, position: 2, vocabulary: 8),
    .invalidOption(name: bell, value: bell, expected: bell),
    .nonFiniteLoss(step: 1, examples: [1, 2], value: .nan),
    .nonFiniteGradient(step: 1, parameter: bell),
    .notEnoughMemory(needed: 1 << 40, available: 1 << 30, remedies: []), .noTrainableParameters,
    .lossNotScalar(shape: shape), .lossIgnoresScale(value: 1),
    .lossWithoutGradient(isConstant: false, count: 2, example: bell),
    .lossWithoutGradient(isConstant: true, count: 2, example: bell),
  ]

  private static let sequences: [SequenceError] = [
    .empty(sequence: 1), .tooLong(sequence: 1, count: 9, limit: 8),
    .tokenOutOfRange(sequence: 1, position: 2, id: 9, vocabularySize: 8),
    .invalidOption(name: bell, value: bell, expected: bell),
  ]

  private static let algebra: [LinearAlgebraError] = [
    .nonFinite(index: 1, shape: shape), .didNotConverge(shape: shape), .tooLarge(shape: shape),
    .noAddressSpace(limit: 1 << 20),
  ]

  /// As the command writes it: one line, that keeps what can be read and that no terminal obeys.
  @Test func everyErrorIsOneHarmlessLine() {
    for error in Self.all {
      let text = StandardError.shown("error: \(error)")
      let bad = text.unicodeScalars.filter { scalar in
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: true
        default: false
        }
      }
      #expect(bad.isEmpty, "\(type(of: error)): \(text)")
      #expect(text.hasPrefix("error: ") && text.count > 20, "\(type(of: error)): \(text)")
      if "\(error)".contains("owned") {
        #expect(text.contains("\\u{1B}]0;owned\\u{7}\\u{9B}2J\\u{202E}"), "\(text)")
      }
      // No type shows its parts as Swift prints a structure.
      #expect(!text.contains("\(type(of: error))("), "\(text)")
    }
  }

  /// A public error type that is added to the sources is added above.
  @Test func noTypeIsLeftOut() throws {
    let covered = Set(Self.all.map { String(describing: type(of: $0)) })
    let sources = Fixtures.root.appending(path: "Sources")
    let files = try #require(FileManager.default.enumerator(atPath: sources.path))
    var found: Set<String> = []
    for case let name as String in files where name.hasSuffix(".swift") {
      let text = try String(contentsOf: sources.appending(path: name), encoding: .utf8)
      for match in text.matches(of: /public (?:struct|enum|final class) (\w+): (?:\w+, )*Error\b/) {
        found.insert(String(match.1))
      }
    }
    #expect(found.count >= 9 && found.subtracting(covered).isEmpty, "\(found)")
  }
}
