import Foundation
import LoRAPages
import Testing

struct PageTests {
  /// Nothing of a text becomes an element, an attribute or an instruction of the reading direction.
  @Test func textsAreEscaped() {
    #expect(
      "<a b=\"c\" d='e'> & f".htmlEscaped == "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt; &amp; f")
    #expect("a\u{0}b\u{1B}c\u{202E}d\te\n".htmlEscaped == "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\te\n")
    #expect("日本語 👩‍👩‍👧 é".htmlEscaped == "日本語 👩‍👩‍👧 é")
  }

  @Test func numbersHaveAboutFourDigits() {
    let cases: [(Double, String)] = [
      (0, "0"), (1, "1"), (2.5, "2.5"), (1.23456, "1.235"), (-0.012345, "-0.01235"),
      (12345.6, "12346"), (3e-5, "3e-5"), (1.5e12, "1.5e12"), (.infinity, "infinite"),
      (.nan, "not a number"), (9.9999, "10"), (0.00099996, "0.001"),
    ]
    for (number, text) in cases { #expect(number.shown() == text) }
    #expect(1_234_567.shown == "1,234,567" && (-1000).shown == "-1,000" && 999.shown == "999")
    #expect(1536.shownBytes == "1.5 KiB" && 17.shownBytes == "17 B")
    #expect((5 << 30).shownBytes == "5 GiB")
    #expect(1.counted("step") == "1 step" && 2000.counted("step") == "2,000 steps")
  }

  /// The places in a path, by number.
  private func places(_ html: String, class name: String) -> [(x: Double, y: Double)] {
    guard let start = html.range(of: "<path class=\"\(name)\" d=\"M") else { return [] }
    let data = html[start.upperBound...].prefix { $0 != "\"" }
    return data.split { "MLh".contains($0) }.compactMap { part in
      let numbers = part.split(separator: " ").compactMap { Double($0) }
      return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
  }

  /// 0 to 10 over the steps 1 to 5, between ticks at 0 and 10: from the lower left to the upper right.
  @Test func aCurveLiesWhereItsNumbersAre() {
    let points = (0...4).map { (x: Double($0 + 1), y: 2.5 * Double($0)) }
    let html = LineChart("Loss", [.init("a", .line, points)]).html()
    let found = places(html, class: "")
    #expect(found.map(\.x) == [0, 250, 500, 750, 1000])
    #expect(found.map(\.y) == [300, 225, 150, 75, 0])
    #expect(html.contains("<span class=\"y\" style=\"top:0%\">10</span>"))
    #expect(html.contains("<span class=\"x last\" style=\"left:100%\">5</span>"))
  }

  /// One spike among many numbers does not flatten the others, and a number that is none is no point.
  @Test func spikesAndNumbersThatAreNoneAreLeftOut() {
    var points = (1...1000).map { (x: Double($0), y: 1 + Double($0 % 7) / 10) }
    points[500].y = 1e6
    points[501].y = .nan
    let html = LineChart("Loss", [.init("a", .raw, points)]).html()
    #expect(!html.contains("nan") && !html.contains("inf"))
    let ys = places(html, class: " faint").map(\.y)
    #expect(ys.filter { $0 >= 0 && $0 <= 300 }.max() ?? 0 > 250)
    // It leaves the picture at the top.
    #expect(ys.count { $0 < 0 } == 1)
  }

  @Test func longCurvesAreThinned() {
    let points = (1...100_000).map { (x: Double($0), y: sin(Double($0))) }
    for kind in [LineChart.Series.Kind.raw, .line] {
      let html = LineChart("Loss", [.init("a", kind, points)]).html()
      #expect(html.utf8.count < 20_000)
    }
    // The extremes are still there.
    let raw = places(LineChart("", [.init("a", .raw, points)]).html(), class: " faint").map(\.y)
    #expect((raw.max() ?? 0) - (raw.min() ?? 0) > 190)
  }

  /// A single point, equal points and none are pictures too.
  @Test func degenerateChartsAreDrawn() {
    let one = LineChart("a", [.init("", .line, [(x: 3, y: 2)])]).html()
    #expect(one.contains("class=\"dots\"") && !one.contains("nan"))
    let equal = LineChart("a", [.init("", .line, [(x: 1, y: 0), (x: 2, y: 0)])]).html()
    #expect(places(equal, class: "").map(\.y) == [150, 150])
    #expect(LineChart("a", [.init("", .line, [])]).html().isEmpty)
    #expect(BarChart(title: "", caption: "", bars: []).html().isEmpty)
    let none = BarChart(title: "", caption: "", bars: [.init(label: "1", count: 0)]).html()
    #expect(none.contains("height=\"0\""))
  }

  /// Every element that is opened is closed, in order, and nothing comes from elsewhere.
  @Test func pagesAreWellFormedAndNeedNothingElse() throws {
    var page = Page(title: "<i>", subtitle: "a & b")
    page.add(Page.tiles([("x", "<1>")]))
    page.add(Page.table([("a", "b")]) + Page.list(["c"]), under: "Of & on")
    page.add(
      LineChart("L", [.init("<s>", .raw, [(1, 1), (2, 2)]), .init("d", .dots, [(1, 1)])]).html())
    page.add(
      BarChart(title: "<t>", caption: "c", bars: [.init(label: "<", count: 2)]).html())
    let html = page.html(generator: "test")
    #expect(html.unclosedElements.isEmpty)
    for part in ["http:", "https:", "<script", "url(", "@import", "<s>", "<i>", "<t>"] {
      #expect(!html.contains(part), "\(part)")
    }
  }
}

extension String {
  /// The elements of this HTML that are not closed where they should be.
  fileprivate var unclosedElements: [String] {
    var open: [String] = []
    var wrong: [String] = []
    for match in matches(of: /<(\/?)([a-z0-9]+)[^>]*?(\/?)>/) {
      let name = String(match.2)
      if ["meta", "br"].contains(name) || !match.3.isEmpty { continue }
      if match.1.isEmpty {
        open.append(name)
      } else if open.last == name {
        open.removeLast()
      } else {
        wrong.append(name)
      }
    }
    return wrong + open
  }
}
