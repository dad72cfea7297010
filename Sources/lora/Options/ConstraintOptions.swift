import ArgumentParser
import LoRAFiles
import LoRAKit

/// What an output must be.
struct ConstraintOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: "The output is JSON of the JSON schema in this file.")
  var schema: String?
  @Option(
    parsing: .unconditional, help: "The output is a text that this regular expression matches.")
  var pattern: String?
  @Option(
    parsing: .unconditionalSingleValue,
    help: "The output is this text, or that of another --choice; repeats.")
  var choice: [String] = []

  func validate() throws {
    guard [schema != nil, pattern != nil, !choice.isEmpty].filter(\.self).count <= 1 else {
      throw ValidationError("--schema, --pattern and --choice exclude each other; give one of them")
    }
    guard !choice.contains("") else {
      throw ValidationError(
        "--choice is an empty text; leave it out, or give what the output may be")
    }
  }

  /// What follows an output of `tokenizer`; nil if nothing was asked for.
  func matcher(
    of tokenizer: some Tokenizer, endTokens: Set<Int>
  ) throws -> ConstraintMatcher? {
    let constraint: OutputConstraint
    if let schema {
      let text = try FileSystem.readText(schema)
      do { constraint = try OutputConstraint(jsonSchema: text) } catch {
        throw CommandError("\(schema): \(error)")
      }
    } else if let pattern {
      do { constraint = try .pattern(pattern) } catch {
        throw CommandError("--\(error)")
      }
    } else if !choice.isEmpty {
      do { constraint = try .choices(choice) } catch { throw CommandError("--choice", error) }
    } else {
      return nil
    }
    guard let vocabulary = TokenVocabulary(tokenizer, endTokens: endTokens) else {
      throw CommandError(
        "the output can't be constrained: this model's tokenizer puts spaces between its tokens; leave "
          + "out --schema, --pattern and --choice")
    }
    return try ConstraintMatcher(constraint, vocabulary: vocabulary)
  }
}
