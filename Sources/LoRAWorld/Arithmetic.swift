/// Sums with their working, the multiplication table, and small word problems.
///
/// Every sum is worked out column by column from the right, word problems too. A model of a few
/// million parameters learns the small tables that the columns need from some thousand examples;
/// to write a sum's leftmost digit first, it would have to foresee every carry.
///
/// A pair of operands is held out as a whole: no training text of any form adds, subtracts or
/// multiplies it. Pairs with a one-digit operand, the tables that everything is made of, are never
/// held out.
enum Arithmetic {
  /// What is done with two numbers; the raw value is the sign in the text.
  enum Operation: String, Sendable, CaseIterable {
    case plus = "+"
    case minus = "-"
    case times = "x"

    /// What comes out.
    func apply(_ a: Int, _ b: Int) -> Int {
      switch self {
      case .plus: a + b
      case .minus: a - b
      case .times: a * b
      }
    }
  }

  /// Whether no training text may contain these operands: one pair in twelve.
  static func isHeldOut(_ a: Int, _ operation: Operation, _ b: Int) -> Bool {
    if operation == .times {
      guard max(a, b) > 12, max(a, b) % 10 != 0 else { return false }
    } else {
      guard min(a, b) > 9 else { return false }
    }
    // Sums and products are one exercise in either order.
    let (first, second) = operation == .minus ? (a, b) : (min(a, b), max(a, b))
    return stableHash("\(first) \(operation.rawValue) \(second)") % 12 == 0
  }

  /// A kind of exercise.
  enum Exercise: CaseIterable, Sendable {
    case sum, difference, product, story

    /// An exercise whose operands are held out, or are not.
    func draw(_ random: inout SplitMix64, heldOut: Bool) -> Exchange {
      while true {
        let (a, operation, b) = operands(&random)
        if Arithmetic.isHeldOut(a, operation, b) == heldOut {
          return self == .story
            ? Story.draw(&random).exchange(a, operation, b)
            : Arithmetic.worked(a, operation, b, &random)
        }
      }
    }

    private func operands(_ random: inout SplitMix64) -> (Int, Operation, Int) {
      switch self {
      case .sum:
        let range = random.below(4) == 0 ? 11...99 : 101...999
        return (random.number(in: range), .plus, random.number(in: range))
      case .difference:
        let (low, high) = random.below(4) == 0 ? (10, 99) : (100, 999)
        // As many digits come out as go in: the working never ends in a zero that is not written.
        let a = random.number(in: 2 * low...high)
        return (a, .minus, random.number(in: low...a - low))
      case .product:
        return (random.number(in: 13...99), .times, random.number(in: 2...9))
      case .story:
        let total = random.number(in: 20...99)
        let part = random.number(in: 10...total - 10)
        return random.below(2) == 0 ? (part, .plus, total - part) : (total, .minus, part)
      }
    }
  }

  private static func worked(
    _ a: Int, _ operation: Operation, _ b: Int, _ random: inout SplitMix64
  ) -> Exchange {
    let sum = "\(a) \(operation.rawValue) \(b)"
    let question = random.pick([
      "Work out \(sum) step by step.", "What is \(sum)? Show the steps.",
      "Please show how to work out \(sum).", "How do I work out \(sum)?",
      "Explain \(sum) step by step.", "Find \(sum) and show the working.",
    ])
    return Exchange(
      topic: .arithmetic, question: question,
      answer: "\(working(a, operation, b)) The answer is \(operation.apply(a, b)).",
      conclusion: "\(operation.apply(a, b))", showsWorking: true)
  }

  /// The multiplication table, known by heart: facts like those of the other topics, held out by
  /// the way of asking.
  static let table: [Fact] = (2...12).flatMap { a in
    (2...9).map { b in
      Fact(
        topic: .arithmetic, key: "\(a) x \(b)",
        questions: [
          "What is \(a) x \(b)?", "How much is \(a) x \(b)?", "What does \(a) x \(b) make?",
          "Can you tell me \(a) x \(b)?", "What do I get for \(a) x \(b)?",
          "What is the result of \(a) x \(b)?", "What is \(a) times \(b)?",
          "Which number is \(a) x \(b)?",
        ],
        answer: "This is in the multiplication table. \(a) x \(b) = \(a * b).",
        conclusion: "\(a * b)")
    }
  }

  /// The written method, digit by digit from the right, as it is taught at school.
  fileprivate static func working(_ a: Int, _ operation: Operation, _ b: Int) -> String {
    switch operation {
    case .plus:
      return columns(a, b) { x, y, carry in
        let sum = x + y + carry
        return (sum % 10, sum / 10, "\(x) + \(y)\(carry > 0 ? " + 1" : "") = \(sum)")
      }
    case .minus:
      return columns(a, b) { x, y, borrowed in
        let steps = " - \(y)\(borrowed > 0 ? " - 1" : "")"
        let difference = x - y - borrowed
        return difference >= 0
          ? (difference, 0, "\(x)\(steps) = \(difference)")
          : (difference + 10, 1, "\(x + 10)\(steps) = \(difference + 10)")
      }
    case .times:
      let (tens, ones) = (a / 10 * b, a % 10 * b)
      let carry = ones / 10
      let first = "Ones: \(a % 10) x \(b) = \(ones), write \(ones % 10)"
      return carry > 0
        ? "\(first), carry \(carry). Tens: \(a / 10) x \(b) = \(tens), "
          + "\(tens) + \(carry) = \(tens + carry), write \(tens + carry)."
        : "\(first). Tens: \(a / 10) x \(b) = \(tens), write \(tens)."
    }
  }

  /// Runs a step over the columns of two numbers of equal length and writes each down.
  private static func columns(
    _ a: Int, _ b: Int, step: (Int, Int, Int) -> (digit: Int, carry: Int, text: String)
  ) -> String {
    let isSum = step(9, 9, 0).carry == 1
    var sentences: [String] = []
    var (a, b, carry) = (a, b, 0)
    for place in ["Ones", "Tens", "Hundreds"] where a > 0 {
      let (digit, next, text) = step(a % 10, b % 10, carry)
      (a, b) = (a / 10, b / 10)
      carry = next
      // The leftmost column has nothing to carry to: what comes out is written as it is.
      let written = a == 0 && isSum ? digit + 10 * carry : digit
      let note = a > 0 && carry > 0 ? (isSum ? ", carry 1" : ", borrow 1") : ""
      sentences.append("\(place): \(text), write \(written)\(note).")
    }
    return sentences.joined(separator: " ")
  }
}

/// A word problem: someone has things and gets or gives some.
private struct Story {
  let name: String
  let thing: String
  let form: Int

  static let names = [
    "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Harry", "Iris", "Jack",
  ]
  static let things = [
    "apples", "books", "eggs", "plates", "cups", "stamps", "coins", "spoons", "lemons", "bottles",
  ]

  static func draw(_ random: inout SplitMix64) -> Story {
    Story(name: random.pick(names), thing: random.pick(things), form: random.below(4))
  }

  func exchange(_ a: Int, _ operation: Arithmetic.Operation, _ b: Int) -> Exchange {
    let more = operation == .plus
    let result = operation.apply(a, b)
    let question =
      switch (form, more) {
      case (0, true):
        "\(name) has \(a) \(thing) and buys \(b) more. How many \(thing) are there now?"
      case (1, true):
        "There are \(a) \(thing) in one box and \(b) in another. How many \(thing) are there in all?"
      case (2, true):
        "\(name) finds \(a) \(thing) and then \(b) more. How many \(thing) are there now?"
      case (_, true):
        "\(name) had \(a) \(thing) and got \(b) as a gift. How many \(thing) are there now?"
      case (0, false):
        "\(name) has \(a) \(thing) and sells \(b) of them. How many \(thing) are left?"
      case (1, false):
        "There are \(a) \(thing) in a box and \(name) takes \(b) out. How many \(thing) are left?"
      case (2, false):
        "\(name) has \(a) \(thing) and gives \(b) away. How many \(thing) are left?"
      case (_, false):
        "\(name) had \(a) \(thing) and lost \(b) of them. How many \(thing) are left?"
      }
    let working = Arithmetic.working(a, operation, b)
    return Exchange(
      topic: .arithmetic, question: question,
      answer: "\(working) That \(more ? "makes" : "leaves") \(result) \(thing).",
      conclusion: "\(result) \(thing)", showsWorking: true)
  }
}
