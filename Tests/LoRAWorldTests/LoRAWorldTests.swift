import Testing

@testable import LoRAWorld

@Suite("The generator of the small world")
struct WorldTests {
  @Test("the same seed gives the same documents, another seed others")
  func deterministic() {
    let first = Array(World.trainingDocuments(seed: 7, count: 500))
    #expect(Array(World.trainingDocuments(seed: 7, count: 500)) == first)
    #expect(Array(World.trainingDocuments(seed: 7, count: 700)).starts(with: first))
    #expect(Array(World.trainingDocuments(seed: 8, count: 500)) != first)
    #expect(first.count == 500)
  }

  @Test("the random numbers are those of the published algorithm")
  func splitMix() {
    // The first outputs for seed 1234567 of the authors' C program.
    var random = SplitMix64(seed: 1_234_567)
    #expect(random.next() == 6_457_827_717_110_365_317)
    #expect(random.next() == 3_203_168_211_198_807_973)
  }

  @Test("there are at least 500 held-out questions over all topics, none twice")
  func counts() {
    let questions = World.heldOutQuestions
    #expect(questions.count >= 500)
    #expect(Set(questions.map(\.question)).count == questions.count)
    for topic in Topic.allCases {
      #expect(questions.filter { $0.topic == topic }.count >= 120, "\(topic)")
    }
    #expect(World.factCount >= 400)
  }

  @Test("no training document has a held-out question or held-out operands", arguments: 1...3)
  func separation(seed: UInt64) throws {
    let exam = Set(World.heldOutQuestions.map(\.question))
    var operands = 0
    for document in World.trainingDocuments(seed: seed, count: 5000) {
      if document.hasPrefix("Q: ") {
        let question = String(try #require(document.split(separator: "\n").first).dropFirst(3))
        #expect(!exam.contains(question))
        #expect(!World.isHeldOut(question))
      }
      if document.contains("How many") && document.contains("Ones:") {
        let question = document.prefix { $0 != "\n" }
        let (a, b) = try #require(question.firstMatch(of: /(\d+)\D+(\d+)/).map { ($0.1, $0.2) })
        let operation: Arithmetic.Operation = document.contains(" left?") ? .minus : .plus
        let isHeld = Arithmetic.isHeldOut(
          try #require(Int(a)), operation, try #require(Int(b)))
        #expect(!isHeld, "\(document)")
      }
      for match in document.matches(of: /(\d+) ([+x-]) (\d+)/) {
        let a = try #require(Int(match.1))
        let b = try #require(Int(match.3))
        let operation = try #require(Arithmetic.Operation(rawValue: String(match.2)))
        operands += 1
        #expect(!Arithmetic.isHeldOut(a, operation, b), "\(document)")
      }
    }
    #expect(operands > 1000)
  }

  @Test("the working of sums is right in every step")
  func working() throws {
    var random = SplitMix64(seed: 3)
    for exercise in Arithmetic.Exercise.allCases {
      for heldOut in [false, true] {
        for _ in 0..<300 {
          let exchange = exercise.draw(&random, heldOut: heldOut)
          for match in exchange.answer.matches(of: /(\d+(?: [+x-] \d+)+) = (\d+)/) {
            #expect(try value(String(match.1)) == Int(match.2), "\(exchange.answer)")
          }
          let operands = AnswerChecker.numbers(exchange.question).compactMap(Int.init)
          try #require(operands.count == 2)
          let sign = try #require(exchange.answer.firstMatch(of: /\d ([+x-]) \d/))
          let operation = try #require(Arithmetic.Operation(rawValue: String(sign.1)))
          let result = operation.apply(operands[0], operands[1])
          #expect(AnswerChecker.numbers(exchange.conclusion) == ["\(result)"])
          #expect(exchange.showsWorking)
        }
      }
    }
  }

  /// The value of "3 + 4 - 1", from left to right.
  private func value(_ expression: String) throws -> Int {
    let words = expression.split(separator: " ").map(String.init)
    var value = try #require(Int(words[0]))
    for index in stride(from: 1, to: words.count, by: 2) {
      let operation = try #require(Arithmetic.Operation(rawValue: words[index]))
      value = operation.apply(value, try #require(Int(words[index + 1])))
    }
    return value
  }

  @Test("every text is clean English as far as a program can tell")
  func grammar() {
    let texts =
      Array(World.trainingDocuments(seed: 5, count: 2000))
      + World.heldOutQuestions.map(\.text) + NewProductLine.trainingExchanges.map(\.text)
      + NewProductLine.heldOutExchanges.map(\.text) + PoliteTone.heldOutQuestions.map(\.text)
    for text in texts {
      #expect(!text.contains("  ") && !text.contains(" .") && !text.contains(".."), "\(text)")
      #expect(text.hasSuffix("."), "\(text)")
      #expect(!text.contains { "{}\\()<>".contains($0) }, "\(text)")
      #expect(text.matches(of: /\ba [AEIOaeio]/).isEmpty, "\(text)")
      #expect(text.matches(of: /\ban (?!hour)[^AEIOUaeiou]/).isEmpty, "\(text)")
      #expect(text.matches(of: /\b(\w+) \1\b/).filter { Int($0.1) == nil }.isEmpty, "\(text)")
      for sentence in text.split(separator: ". ") {
        #expect(sentence.first.map { $0.isUppercase || $0.isNumber } == true, "\(text)")
      }
    }
  }

  @Test("an answer holds its conclusion and its checker says so")
  func conclusions() {
    for exchange in World.heldOutQuestions + NewProductLine.heldOutExchanges {
      #expect(exchange.answer.lowercased().contains(exchange.conclusion.lowercased()))
      #expect(AnswerChecker.isCorrect(" \(exchange.answer)\n", for: exchange))
      #expect(AnswerChecker.concludes(exchange.answer, for: exchange), "\(exchange.text)")
      #expect(!AnswerChecker.isCorrect(exchange.conclusion, for: exchange))
      #expect(!AnswerChecker.concludes("I do not know.", for: exchange))
    }
  }

  @Test("allergens follow from the ingredients")
  func allergens() {
    let carriers: [String: [String]] = [
      "gluten": ["flour", "wheat noodles", "pasta", "barley", "oats", "soy sauce"],
      "milk": ["milk", "butter", "cream", "cheese"],
      "egg": ["eggs"], "nuts": ["walnuts", "pine nuts"], "peanuts": ["peanut butter"],
      "fish": ["cod"], "shellfish": ["prawns"], "soy": ["soy sauce"],
      "sesame": ["sesame paste"], "celery": ["celery"], "mustard": ["mustard"],
    ]
    for recipe in RecipeBook.recipes {
      let expected = carriers.filter { !Set($0.value).isDisjoint(with: recipe.ingredients) }
      #expect(Set(recipe.allergens) == Set(expected.keys), "\(recipe.name)")
      #expect(recipe.ingredients.count == 4, "\(recipe.name)")
      for swap in recipe.substitutes {
        #expect(recipe.ingredients.contains(swap.ingredient), "\(recipe.name)")
      }
    }
  }
}
