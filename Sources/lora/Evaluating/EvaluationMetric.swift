import ArgumentParser
import Foundation
import LoRAJSON
import LoRAKit

/// What `lora eval` measures.
enum EvaluationMetric: Hashable, ExpressibleByArgument, CustomStringConvertible {
  /// Answers, compared with the expected ones.
  case answers(AnswerMetric)
  /// The likeliest of a record's choices.
  case choice
  /// The label of a text: what a classifier gives, or the likeliest of the data's.
  case label
  /// The loss of what is expected.
  case perplexity
  /// Answers, judged by a program.
  case command(String)

  static let names = "exact, contains, f1, choice, label, perplexity or command:PROGRAM"

  init?(argument: String) {
    let prefix = "command:"
    if argument.hasPrefix(prefix), argument.count > prefix.count {
      self = .command(String(argument.dropFirst(prefix.count)))
    } else if let metric = AnswerMetric(rawValue: argument) {
      self = .answers(metric)
    } else if argument == "choice" {
      self = .choice
    } else if argument == "label" {
      self = .label
    } else if argument == "perplexity" {
      self = .perplexity
    } else {
      return nil
    }
  }

  var name: String {
    switch self {
    case .answers(let metric): metric.rawValue
    case .choice: "choice"
    case .label: "label"
    case .perplexity: "perplexity"
    case .command(let program): "command:\(program)"
    }
  }

  var description: String { name }
  var defaultValueDescription: String { name }

  /// The scores of generated answers.
  func scores(of texts: [String], to questions: [Question]) throws -> [Double] {
    switch self {
    case .answers(let metric):
      zip(texts, questions).map { metric.score($0, expected: $1.expected) }
    case .command(let program): try Self.judged(by: program, texts, questions)
    case .choice, .label, .perplexity: []
    }
  }

  /// The scores that a program gives: a JSON object a line goes in, a score a line comes out.
  private static func judged(
    by program: String, _ texts: [String], _ questions: [Question]
  ) throws -> [Double] {
    let input = zip(texts, questions).map { text, question in
      JSONValue.object([
        "prompt": .string(question.text), "expected": .string(question.expected),
        "answer": .string(text),
      ]).encoded() + "\n"
    }.joined()
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", program]
    let (given, taken) = (Pipe(), Pipe())
    (process.standardInput, process.standardOutput) = (given, taken)
    do {
      try process.run()
    } catch {
      throw CommandError(
        "--metric command:\(program): it does not start: \(error.localizedDescription)")
    }
    // A program may answer before it has read all.
    let writing = Thread {
      try? given.fileHandleForWriting.write(contentsOf: Data(input.utf8))
      try? given.fileHandleForWriting.close()
    }
    writing.start()
    let output = try taken.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw CommandError(
        "--metric command:\(program): it ended with the status \(process.terminationStatus)")
    }
    let lines = String(decoding: output, as: UTF8.self).split(separator: "\n")
    guard lines.count == questions.count else {
      throw CommandError(
        "--metric command:\(program): it wrote \(lines.count) lines for \(questions.count) answers; it "
          + "must write one for each")
    }
    return try lines.enumerated().map { index, line in
      let value = try? JSONValue(parsing: String(line))
      let score = value?["score"] ?? value
      guard let number = score?.doubleValue ?? score?.boolValue.map({ $0 ? 1 : 0 }), number.isFinite
      else {
        throw CommandError(
          "--metric command:\(program): line \(index + 1) is '\(line.prefix(80))'; expected a number, "
            + "true or false, or {\"score\": ...}")
      }
      return number
    }
  }
}
