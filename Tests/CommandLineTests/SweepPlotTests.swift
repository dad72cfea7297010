import Foundation
import LoRATraining
import Testing

@testable import lora

/// How a sweep is written and drawn.
@Suite struct SweepPlotTests {
  static func setting(_ strengths: [Float], _ nll: Double) -> StrengthSweep.Setting {
    .init(strengths: strengths, evaluation: Evaluation(nll: nll, tokens: 10))
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
