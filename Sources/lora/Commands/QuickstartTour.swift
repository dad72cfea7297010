import LoRAKit
import LoRAWorld

/// The stations of `lora quickstart`, in their order.
final class QuickstartTour {
  /// What the adapters say that they belong to.
  static let baseName = "lora-quickstart-base"

  private let base: PretrainedModel
  private let examiner: Examiner
  private let output: String
  private let world = World.heldOutQuestions
  private let newFacts = NewProductLine.heldOutExchanges
  private let tone = Array(PoliteTone.heldOutQuestions.shuffledEvenly().prefix(100))
  private let witnesses: [Exchange]
  private var fingerprint: UInt64 = 0
  private var worldBefore = Examination()

  private var model: any LanguageModel { examiner.model }

  init(base: PretrainedModel, examiner: Examiner, output: String) {
    self.base = base
    self.examiner = examiner
    self.output = output
    witnesses = Array((world + newFacts).shuffledEvenly().prefix(60))
  }

  // MARK: Stations

  func meetTheBase() throws {
    try title("1. The base")
    try say(
      """
      A small Llama with \(grouped(model.parameterCount)) weights, trained from nothing on a small \
      world: a maker of appliances, recipes, sums. Nothing from here on changes one of them.
      """)
    fingerprint = try examiner.fingerprint(witnesses)
    worldBefore = try examiner.exactMatches(world)
    try say("Of \(world.count) questions that it never saw it answers \(score(worldBefore)):")
    for index in [5, world.count / 2, world.count - 60] { try ask(world[index], [:]) }
    let before = try examiner.exactMatches(newFacts)
    try say(
      """

      It can't know the product line that came out since. Of \(newFacts.count) questions about its \
      \(NewProductLine.facts.count) facts it answers \(score(before)):
      """)
    for index in [0, newFacts.count / 2] { try ask(newFacts[index], [:]) }
  }

  func teach(_ lesson: Lesson) throws {
    let isProducts = lesson.name == Lesson.products.name
    try title(isProducts ? "2. New facts" : "3. A new tone")
    try say(
      """
      An adapter adds two thin matrices beside each of the \(model.linearLayers().count - 1) linear \
      layers, of rank \(lesson.method.rank). Only those are trained.
      """)
    var progress = Progress()
    let result = try lesson.teach(examiner) { report in
      progress.report(
        report.step, of: report.stepCount,
        ["loss \(decimal(report.loss, 3))", "\(decimal(report.tokensPerSecond, 0)) tokens/s"])
      return .continue
    }
    progress.finish()
    let folder = "\(output)/\(lesson.name)"
    try model.saveAdapter(lesson.name, to: folder, baseModelName: Self.baseName)
    let bytes = try MappedFile(path: folder + "/adapter_model.safetensors").byteCount
    try say(
      """
      \(grouped(result.trainedParameterCount)) parameters trained, \
      \(decimal(100 * Double(result.trainedParameterCount) / Double(model.parameterCount), 1)) % of \
      the base; the file has \(grouped(bytes)) bytes.
      """)
    let selection = AdapterSelection(lesson.name)
    if isProducts {
      let after = try examiner.exactMatches(newFacts, adapters: selection)
      try say("The new facts, asked in ways that the training never used: \(score(after)).")
      for index in [0, newFacts.count / 2] { try ask(newFacts[index], selection) }
    } else {
      let before = try examiner.politeAnswers(tone)
      let after = try examiner.politeAnswers(tone, adapters: selection)
      try say(
        """
        Conclusion first, polite, short and right, by the checker: \(score(before)) of \
        \(tone.count) answers before, \(score(after)) with the adapter.
        """)
      for index in [1, 2] { try ask(tone[index], selection) }
    }
    let skills =
      isProducts
      ? try examiner.exactMatches(world, adapters: selection)
      : try examiner.rightConclusions(world, adapters: selection)
    try say(
      "The base's own questions with the adapter: \(score(skills)), before \(score(worldBefore)).")
  }

  func switchAndMix() throws {
    try title("4. Switching and mixing")
    try say("One model, four ways to answer the same question; nothing is loaded or copied:")
    let question = newFacts[newFacts.count / 3]
    try StandardOutput.line("  Q: \(question.question)")
    for (label, selection) in [
      ("the base", [:]), ("products", ["products": 1]), ("polite", ["polite": 1]),
      ("both", ["products": 1, "polite": 1]),
    ] as [(String, AdapterSelection)] {
      let answer = try examiner.answer(question, adapters: selection)
      try StandardOutput.line("  \(padded(label, 10)) \(answer)")
    }
  }

  func turnTheStrength() throws {
    try title("5. The strength is a number")
    let sample = Array(newFacts.shuffledEvenly().prefix(60))
    for strength in [0, 0.25, 0.5, 0.75, 1] as [Float] {
      let result = try examiner.exactMatches(sample, adapters: ["products": strength])
      let bar = String(repeating: "█", count: Int((24 * result.share).rounded()))
      try StandardOutput.line("  products at \(padded("\(strength)", 5)) \(bar) \(score(result))")
    }
  }

  func mergeAndTakeOff() throws {
    try title("6. Merging, and taking everything off")
    try model.mergeAdapters(["products": 1])
    let merged = try examiner.exactMatches(newFacts, adapters: nil)
    try say(
      "Merged into the weights, without an adapter's cost: \(score(merged)) of the new facts.")
    try model.unmergeAdapters()
    try model.detach("products")
    try model.detach("polite")
    let now = try examiner.fingerprint(witnesses)
    try say(
      """
      Unmerged and detached. The logits of \(witnesses.count) questions, bit for bit:
        before \(String(fingerprint, radix: 16))
        now    \(String(now, radix: 16))\(now == fingerprint ? "  the same" : "")
      """)
    guard now == fingerprint else { throw QuickstartError.baseChanged }
    let after = try examiner.exactMatches(world)
    try say("The base's own questions: \(score(after)), as before.")
  }

  // MARK: Words

  private func title(_ text: String) throws { try StandardOutput.lines(["", text, ""]) }

  private func say(_ text: String) throws { try StandardOutput.text(text) }

  private func ask(_ exchange: Exchange, _ adapters: AdapterSelection) throws {
    try StandardOutput.line("  Q: \(exchange.question)")
    try StandardOutput.line("  A: \(try examiner.answer(exchange, adapters: adapters))")
  }

  private func score(_ result: Examination) -> String { "\(decimal(100 * result.share, 1)) %" }

  private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}

/// What must never happen.
enum QuickstartError: Error, CustomStringConvertible {
  case baseChanged

  var description: String {
    "the base answers differently after the adapters were taken off; please report this"
  }
}

extension Array {
  /// The elements in an order that mixes what stood together, the same every time.
  func shuffledEvenly() -> [Element] {
    var random = SeededRandom(seed: 0, path: "quickstart")
    return shuffled(using: &random)
  }
}
