import Foundation
import LoRAFormats
import LoRAModels
import LoRATraining
import Testing

@Suite struct StrengthSweepTests {
  static func setting(_ strengths: [Float], _ nll: Double) -> StrengthSweep.Setting {
    .init(strengths: strengths, evaluation: Evaluation(nll: nll, tokens: 10))
  }

  @Test func gridsAreEvenAndChecked() throws {
    #expect(
      try StrengthSweep.grid(from: 0, to: 1.5, steps: 7) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5])
    #expect(try StrengthSweep.grid(from: -1, to: 1, steps: 2) == [-1, 1])
    for (from, to, steps) in [(0.0, 1.0, 1), (1, 1, 3), (2, 1, 3), (0, .infinity, 3), (.nan, 1, 3)]
    {
      #expect(throws: TrainingError.self) {
        try StrengthSweep.grid(from: from, to: to, steps: steps)
      }
    }
    // Numbers that float32 can't hold, or can't tell apart.
    for (from, to) in [(0, 1e39), (1, 1.0000001), (0, 1e-50)] as [(Double, Double)] {
      let error = #expect(throws: TrainingError.self) {
        try StrengthSweep.grid(from: from, to: to, steps: 4)
      }
      #expect(error.map { "\($0)" }?.contains("4 different float32 numbers") == true)
    }
  }

  private static let written: [(Double, Double, Int, [String])] = [
    (0.0, 1.5, 4, ["0", "0.5", "1", "1.5"]), (0, 1e20, 3, ["0", "5e19", "1e20"]),
    (0, 1e20, 4, ["0", "3.33e19", "6.67e19", "1e20"]), (0, 1e-20, 3, ["0", "5e-21", "1e-20"]),
    (-1e-12, 1e-11, 4, ["-1e-12", "2.67e-12", "6.33e-12", "1e-11"]),
    (0, 1000, 3, ["0", "500", "1000"]), (0, 1e6, 2, ["0", "1000000"]),
    (-1e9, 1e9, 3, ["-1e9", "0", "1e9"]), (1e10, 1.001e10, 3, ["1e10", "1.0005e10", "1.001e10"]),
  ]

  /// Every strength is told apart from the next, and none is cut.
  @Test(arguments: written)
  func strengthsAreWritten(from: Double, to: Double, steps: Int, texts: [String]) throws {
    let grid = try StrengthSweep.grid(from: from, to: to, steps: steps)
    let sweep = StrengthSweep(
      adapters: ["a"], grid: grid, settings: grid.map { Self.setting([$0], 1) })
    #expect(grid.map { sweep.numbers.strength($0) } == texts)
  }

  /// Each setting is the evaluation with those strengths; 0 is the base, and twice the same adapter
  /// is its doubled strength.
  @Test func settingsAreEvaluations() throws {
    let folder = Fixtures.path("models/llama-grouped")
    let model = try PretrainedModel(path: folder).model
    let data = try TokenDataSet(
      rows: TokenRows(folder + "/expected.safetensors#ids").rows)
    try model.loadAdapter(from: folder + "/adapter", named: "a", enabled: false)
    try model.loadAdapter(from: folder + "/adapter", named: "b", enabled: false)
    let base = try model.evaluate(on: data)
    var calls: [Int] = []
    let one = try model.sweepStrengths(of: ["a"], over: [0, 0.5, 1], on: data) { done, total in
      calls.append(done)
      #expect(total == 3)
    }
    #expect(calls == [1, 2, 3] && one.settings.map(\.strengths) == [[0], [0.5], [1]])
    #expect(abs((one.settings[0].evaluation?.nll ?? .nan) - base.nll) < 1e-6)
    let whole = try model.withAdapters(["a": 1]) { try model.evaluate(on: data) }
    #expect(one.settings[2].evaluation == whole && abs(whole.nll - base.nll) > 1e-3)
    #expect(one.best.evaluation.nll == one.settings.compactMap(\.evaluation?.nll).min())

    let two = try model.sweepStrengths(of: ["a", "b"], over: [0, 0.5], on: data)
    #expect(two.settings.map(\.strengths) == [[0, 0], [0, 0.5], [0.5, 0], [0.5, 0.5]])
    let losses = two.settings.compactMap(\.evaluation?.nll)
    #expect(losses[1] == losses[2] && abs(losses[3] - whole.nll) < 1e-5)
    // The model's own state is as before.
    #expect(model.enabledAdapters == [:])

    #expect(throws: AdapterError.self) {
      try model.sweepStrengths(of: ["c"], over: [0], on: data)
    }
    for names in [[], ["a", "a"], ["a", "b", "c"]] {
      #expect(throws: TrainingError.self) {
        try model.sweepStrengths(of: names, over: [0], on: data)
      }
    }
    #expect(throws: TrainingError.self) {
      try model.sweepStrengths(of: ["a"], over: [], on: data)
    }
  }

  @Test func theBestIsTheLowestNumber() throws {
    let losses = [3, .nan, 2.5, .infinity, 2.5]
    let grid: [Float] = [0, 1, 2, 3, 4]
    let sweep = StrengthSweep(
      adapters: ["a"], grid: grid, settings: zip(grid, losses).map { Self.setting([$0], $1) })
    #expect(sweep.best.strengths == [2])
  }

  @Test func strengthsThatOverflowHaveNoLoss() throws {
    let folder = Fixtures.path("models/llama-grouped")
    let model = try PretrainedModel(path: folder).model
    let data = try TokenDataSet(rows: TokenRows(folder + "/expected.safetensors#ids").rows)
    try model.loadAdapter(from: folder + "/adapter", named: "a", enabled: false)
    let sweep = try model.sweepStrengths(of: ["a"], over: [0, 1, 3e38], on: data)
    #expect(sweep.settings.map { $0.evaluation == nil } == [false, false, true])
    #expect(sweep.best.evaluation.nll.isFinite && sweep.best.strengths != [3e38])
    #expect(!sweep.svg(title: "t").contains("nan"))
    // What can't be encoded as JSON can't be in it.
    #expect(throws: Never.self) { _ = try JSONEncoder().encode(sweep) }

    let error = #expect(throws: NonFiniteOutput.self) {
      try model.sweepStrengths(of: ["a"], over: [2e38, 3e38], on: data)
    }
    #expect(error?.cause == .adapters && error?.layer.hasPrefix("model.layers.0.") == true)
  }

  @Test func aLinePlotHasThePointsTheBaseAndTheBest() throws {
    let grid: [Float] = [0, 0.5, 1]
    let sweep = StrengthSweep(
      adapters: ["a<b>&\"c\""], grid: grid,
      settings: zip(grid, [4, 2.25, 3]).map { Self.setting([$0], $1) })
    let text = sweep.svg(title: "Loss & strength")
    let elements = try Self.elements(of: text)
    #expect(elements.first == "svg" && text.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\""))
    #expect(elements.count { $0 == "circle" } == 4 && elements.count { $0 == "polyline" } == 1)
    #expect(text.contains(">best 0.5: 2.250</text>") && text.contains(">base 4.000</text>"))
    #expect(text.contains("strength of a&lt;b&gt;&amp;&quot;c&quot;</text>"))
    #expect(text.contains("<title>Loss &amp; strength. Best: "))
    // A strength's place is between those of its neighbours: x from left to right, y downwards.
    #expect(text.contains("points=\"72,75.31 344,316.69 616,213.24\""))
    #expect(text.contains("prefers-color-scheme:dark"))
  }

  @Test func aHeatMapHasACellForEveryPair() throws {
    let grid: [Float] = [-1, 0, 1]
    let losses = [3, 2.5, 2, 1, 1.5, .nan, 4, .infinity, 5]
    let settings = losses.enumerated().map { index, loss in
      Self.setting([grid[index / 3], grid[index % 3]], loss)
    }
    let text = StrengthSweep(adapters: ["first", "second"], grid: grid, settings: settings)
      .svg(title: "Two")
    _ = try Self.elements(of: text)
    #expect(text.contains("strength of first</text>") && text.contains("strength of second</text>"))
    for loss in ["3.000", "2.500", "1.500", "4.000"] { #expect(text.contains(">\(loss)</text>")) }
    #expect(text.split(separator: ">–</text>").count == 3)
    // The cell and the legend, which says which one it is.
    #expect(text.split(separator: "class=\"mark\"").count == 3)
    #expect(text.contains(">best 0, -1: 1.000</text>"))
    // The best is dark, the worst light.
    #expect(text.contains("fill=\"rgb(16,66,129)\"") && text.contains("fill=\"rgb(226,239,252)\""))
  }

  /// Extremes must give a drawing too: equal losses, tiny ranges, huge ones, many strengths.
  @Test(arguments: [
    [2, 2, 2], [1e-9, 2e-9, 3e-9], [1, 1e9, 1e300], [3, .nan, .infinity], [-5, 0, 7],
  ])
  func extremesAreDrawn(losses: [Double]) throws {
    let grid: [Float] = [0, 1e-3, 1e6]
    let one = StrengthSweep(
      adapters: ["a"], grid: grid, settings: zip(grid, losses).map { Self.setting([$0], $1) })
    _ = try Self.elements(of: one.svg(title: ""))
    #expect(!one.svg(title: "").contains("nan"))
    let many = try StrengthSweep.grid(from: 0, to: 1, steps: 24)
    let two = StrengthSweep(
      adapters: ["a", "b"], grid: many,
      settings: many.flatMap { x in many.map { Self.setting([x, $0], losses[0]) } })
    #expect(try Self.elements(of: two.svg(title: "")).count > 576)
    #expect(!two.svg(title: "").contains("nan"))
  }

  /// What is not well-formed, for the test's report.
  struct Malformed: Error { let place: Substring }

  /// The names of the elements of a document in which every one is closed, in order.
  static func elements(of text: String) throws -> [String] {
    var names: [String] = []
    var open: [Substring] = []
    for piece in text.split(separator: "<") {
      guard let tag = piece.split(separator: ">", omittingEmptySubsequences: false).first,
        tag.count < piece.count
      else { throw Malformed(place: piece) }
      if tag.hasPrefix("/") {
        guard open.popLast() == tag.dropFirst() else { throw Malformed(place: tag) }
        continue
      }
      guard let name = tag.split(separator: " ").first,
        tag.split(separator: "\"", omittingEmptySubsequences: false).count % 2 == 1
      else { throw Malformed(place: tag) }
      names.append(String(name))
      if !tag.hasSuffix("/") { open.append(name) }
    }
    guard open.isEmpty else { throw Malformed(place: open[0]) }
    return names
  }
}
