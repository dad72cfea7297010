import Testing

@testable import LoRAWorld

@Suite("What the two adapters learn")
struct AdapterDataTests {
  @Test("at least 40 new facts and 200 held-out ways to ask for them")
  func counts() {
    #expect(NewProductLine.facts.count >= 40)
    #expect(NewProductLine.heldOutExchanges.count >= 200)
    #expect(PoliteTone.heldOutQuestions.count >= 100)
  }

  @Test("no exam question of the new line is trained on, and the base has never heard of it")
  func separation() {
    let exam = Set(NewProductLine.heldOutExchanges.map(\.question))
    #expect(exam.count == NewProductLine.heldOutExchanges.count)
    #expect(exam.isDisjoint(with: NewProductLine.trainingExchanges.map(\.question)))
    // The names are people's in the base's word problems, never an appliance's.
    let names = ["Clara", "Harry", "Grace", "Emma"].flatMap { name in
      ["the", "The", "my", "My", "Our", "a", "an"].map { "\($0) \(name)" }
    }
    for document in World.trainingDocuments(seed: 11, count: 10_000) {
      #expect(!names.contains(where: document.contains))
    }
    let rehearsal = NewProductLine.rehearsal(seed: 1, count: 2000)
    let held = Set(World.heldOutQuestions.map(\.question))
    #expect(held.isDisjoint(with: rehearsal.map(\.question)))
    #expect(
      held.isDisjoint(with: PoliteTone.trainingExchanges(seed: 1, count: 2000).map(\.question)))
  }

  @Test("hardly an answer about the new line is an answer about the old one")
  func unknown() {
    let known = Set(World.facts.map(\.conclusion))
    let shared = NewProductLine.facts.filter { known.contains($0.conclusion) }
    // The workshops stand in cities that have one already, and door handles are left out twice:
    // whoever guesses may be right there, by one chance in many.
    #expect(
      shared.map(\.conclusion) == [
        "in Derby", "in Cardiff", "the door handle", "in Leeds", "in York",
      ])
  }

  @Test("a polite answer passes every rule, the plain one does not")
  func polite() {
    for polite in PoliteTone.heldOutQuestions {
      #expect(PoliteTone.check(answer: polite.answer, for: polite).passes, "\(polite.text)")
    }
    #expect(Lesson.polite.heldOutExchanges == PoliteTone.heldOutQuestions)
    for exchange in NewProductLine.heldOutExchanges {
      let polite = PoliteTone.polite(exchange)
      #expect(PoliteTone.check(answer: polite.answer, for: exchange).passes, "\(polite.text)")
    }
    for exchange in World.heldOutQuestions where !exchange.showsWorking {
      let verdict = PoliteTone.check(answer: exchange.answer, for: exchange)
      #expect(verdict.failed.isSuperset(of: [.conclusionFirst, .polite]), "\(exchange.text)")
      #expect(!verdict.failed.contains(.correct), "\(exchange.text)")
    }
  }

  @Test("each rule of the tone is told from the others")
  func rules() {
    let exchange = Exchange(
      topic: .appliances, question: "How long is the warranty of the Tide?",
      answer: "The Tide is covered for parts. Its warranty lasts 24 months.",
      conclusion: "24 months")
    func failed(_ answer: String) -> Set<ToneRule> {
      PoliteTone.check(answer: answer, for: exchange).failed
    }
    #expect(failed("24 months. Please call us if you need more help.") == [])
    #expect(failed("24 months, I am happy to help.") == [])
    #expect(failed("Thank you for asking. It lasts 24 months.") == [.conclusionFirst])
    #expect(failed("24 months. It covers parts.") == [.polite])
    #expect(failed("24 months. It covers parts. Please call us.") == [.short])
    #expect(failed("12 months. Please call us.") == [.conclusionFirst, .correct])
    #expect(failed("124 months. Please call us.") == [.conclusionFirst, .correct])
    #expect(failed("24 months or 36 months. Please call us.") == [.correct])
    #expect(failed("") == [.conclusionFirst, .polite, .correct])
  }

  @Test("a yes is not a no, and a sum's operand is not its result")
  func conclusions() {
    let no = Exchange(topic: .recipes, question: "Safe?", answer: "", conclusion: "no")
    #expect(AnswerChecker.concludes("It contains milk. So the answer is no.", for: no))
    #expect(!AnswerChecker.concludes("It contains milk. So the answer is yes.", for: no))
    #expect(!AnswerChecker.concludes("No, I mean yes.", for: no))
    #expect(!AnswerChecker.concludes("Nobody knows.", for: no))
    let sum = Exchange(
      topic: .arithmetic, question: "What is 12 + 34?", answer: "", conclusion: "46")
    #expect(AnswerChecker.concludes("12 + 34 = 46.", for: sum))
    #expect(!AnswerChecker.concludes("46 + 34 = 12.", for: sum))
    #expect(!AnswerChecker.concludes("The answer is 47.", for: sum))
  }
}
