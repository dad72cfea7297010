import ArgumentParser
import Foundation
import LoRAKit
import LoRAWorld

/// The workshop of the built-in base: prints its text, trains it, examines it.
@main
struct LoRAWorldCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lora-world",
    abstract: "Makes and examines the built-in base of the quickstart.",
    subcommands: [Text.self, Train.self, Examine.self, Teach.self, Exchanges.self])

  struct Text: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints training documents, a blank line between them.",
      discussion: "Example: lora-world text --count 20")
    @Option(help: "How many documents.") var count = 10
    @Option(help: "What the choice depends on.") var seed: UInt64 = 1

    func run() {
      for document in World.trainingDocuments(seed: seed, count: count) { print(document + "\n") }
    }
  }

  struct Exchanges: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Prints what a lesson teaches, or its questions, as lines of JSON with prompt and completion.",
      discussion: "Example: lora-world exchanges products > products.jsonl")
    @Argument(help: "The lesson: products or polite.") var lesson: String
    @Flag(help: "The questions that it is examined by, with the answers that are expected.")
    var heldOut = false

    func run() throws {
      guard let chosen = [Lesson.products, .polite].first(where: { $0.name == lesson }) else {
        throw ValidationError("there is no lesson '\(lesson)'; there are products and polite")
      }
      let exchanges = heldOut ? chosen.heldOutExchanges : chosen.exchanges
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      for exchange in exchanges {
        let record = ["prompt": exchange.prompt, "completion": " " + exchange.answer]
        print(String(decoding: try encoder.encode(record), as: UTF8.self))
      }
    }
  }

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Trains the base from nothing and writes it.",
      discussion: "Example: lora-world train --output Sources/LoRAWorld/Base")
    @Option(help: "The folder to write.") var output: String
    @Option(help: "How many tokens to train on.") var tokens = BaseTraining().tokenBudget
    @Option(help: "The largest learning rate.") var learningRate = BaseTraining().learningRate
    @Option(help: "Sequences of 256 tokens in a batch.") var batch = BaseTraining().batchSize
    @Option(help: "What everything random depends on.") var seed: UInt64 = 1

    func run() throws {
      var training = BaseTraining()
      training.tokenBudget = tokens
      training.learningRate = learningRate
      training.batchSize = batch
      training.seed = seed
      let start = Date()
      let result = try training.run(writingTo: output) { report in
        if report.step % 10 == 0 || report.step == report.stepCount {
          let line = String(
            format: "step %d/%d  loss %.4f  norm %.2f  %.0f tokens/s  %.0f s\n", report.step,
            report.stepCount, report.loss, Double(report.gradientNorm), report.tokensPerSecond,
            Date().timeIntervalSince(start))
          FileHandle.standardError.write(Data(line.utf8))
        }
      }
      describe(result)
    }
  }

  struct Teach: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Teaches the base one of the quickstart's lessons, and examines it.",
      discussion: "Example: lora-world teach products --steps 300 --learning-rate 3e-3")
    @Argument(help: "The lesson: products or polite.") var lesson: String
    @Option(help: "The number of steps; the lesson's own if none.") var steps: Int?
    @Option(help: "Exchanges in a batch.") var batch: Int?
    @Option(help: "The largest learning rate.") var learningRate: Double?
    @Option(help: "The adapter's rank.") var rank: Int?
    @Option(help: "The adapter's alpha.") var alpha: Float?
    @Option(help: "Rehearsed exchanges for each new one.") var rehearsal: Double?
    @Option(help: "Weight decay.") var weightDecay: Double?
    @Option(help: "How many wrong answers to show.") var wrong = 0

    func run() throws {
      guard var lesson = [Lesson.products, .polite].first(where: { $0.name == lesson }) else {
        throw ValidationError("there is no lesson '\(lesson)'; there are products and polite")
      }
      if let steps { lesson.options.duration = .steps(steps) }
      if let batch { lesson.options.batchSize = batch }
      if let learningRate { lesson.options.learningRate = learningRate }
      if let weightDecay { lesson.options.weightDecay = weightDecay }
      if let rank { lesson.method.rank = rank }
      if let alpha { lesson.method.alpha = alpha }
      if let rehearsal, lesson.name == "products" {
        let new = NewProductLine.trainingExchanges
        lesson.exchanges =
          new
          + Lesson.withLittleWorking(
            NewProductLine.rehearsal(seed: 1, count: Int(rehearsal * Double(new.count))))
      }
      let base = try BuiltInBase.open()
      let examiner = try Examiner(model: base.languageModel, tokenizer: try base.tokenizer())
      let start = Date()
      var tokens = 0
      try lesson.teach(examiner) {
        tokens += $0.tokens
        return .continue
      }
      let seconds = Date().timeIntervalSince(start)
      print(String(format: "%.1f s, %.0f tokens/s", seconds, Double(tokens) / seconds))
      let adapters = AdapterSelection(lesson.name)
      if lesson.name == "products" {
        describe(try examiner.exactMatches(NewProductLine.heldOutExchanges, adapters: adapters))
        describe(try examiner.exactMatches(World.heldOutQuestions, adapters: adapters))
        try showWrong(NewProductLine.heldOutExchanges, examiner, adapters, most: wrong)
      } else {
        let questions = PoliteTone.heldOutQuestions
        let tone = stride(from: 0, to: questions.count, by: 4).map { questions[$0] }
        describe(try examiner.politeAnswers(tone, adapters: adapters))
        describe(try examiner.rightConclusions(World.heldOutQuestions, adapters: adapters))
        try showWrong(tone, examiner, adapters, most: wrong)
      }
    }
  }

  struct Examine: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Asks a base every held-out question of its world.",
      discussion: "Example: lora-world examine --model Sources/LoRAWorld/Base --wrong 5")
    @Option(help: "The model's folder; the shipped base if none.") var model: String?
    @Option(help: "How many wrong answers to show.") var wrong = 0

    func run() throws {
      let pretrained = try PretrainedModel(path: model ?? BuiltInBase.path)
      let examiner = try Examiner(
        model: pretrained.languageModel, tokenizer: try pretrained.tokenizer())
      describe(try examiner.exactMatches(World.heldOutQuestions))
      try showWrong(World.heldOutQuestions, examiner, [:], most: wrong)
    }
  }
}

/// Prints an examination's result, topic by topic.
private func describe(_ result: Examination) {
  for (topic, part) in result.topics.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
    print("\(topic.rawValue): \(part.right) of \(part.questions)")
  }
  print(
    String(format: "exact: %d of %d (%.1f %%)", result.right, result.questions, 100 * result.share))
}

/// Prints the first answers that are not the expected ones to the letter.
private func showWrong(
  _ exchanges: [Exchange], _ examiner: Examiner, _ adapters: AdapterSelection, most: Int
) throws {
  var shown = 0
  for exchange in exchanges where shown < most {
    let answer = try examiner.answer(exchange, adapters: adapters)
    if AnswerChecker.isCorrect(answer, for: exchange) { continue }
    shown += 1
    print("\(exchange.question)\n  expected: \(exchange.answer)\n  answered: \(answer)")
  }
}
