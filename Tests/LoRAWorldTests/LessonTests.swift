import LoRAKit
import LoRAWorld
import Testing

/// What the quickstart promises, measured as it measures it.
@Suite(.serialized) struct LessonTests {
  private func examiner() throws -> Examiner {
    let base = try BuiltInBase.open()
    return try Examiner(model: base.languageModel, tokenizer: try base.tokenizer())
  }

  @Test func theBaseSpeaksItsWorld() throws {
    let examiner = try examiner()
    #expect(World.heldOutQuestions.count >= 500)
    #expect(try examiner.exactMatches(World.heldOutQuestions).share >= 0.95)
    #expect(NewProductLine.facts.count >= 40 && NewProductLine.heldOutExchanges.count >= 200)
    #expect(try examiner.exactMatches(NewProductLine.heldOutExchanges).share < 0.05)
    let bytes = try MappedFile(path: BuiltInBase.path + "/model.safetensors").byteCount
    #expect(bytes <= 8_000_000)
  }

  /// Counting exact answers in one pass gives what generating them gives.
  @Test func onePassDecidesAsGeneratingDoes() throws {
    let examiner = try examiner()
    let sample =
      Array(World.heldOutQuestions.prefix(20)) + NewProductLine.heldOutExchanges.prefix(20)
    let generated = try sample.filter {
      AnswerChecker.isCorrect(try examiner.answer($0), for: $0)
    }
    #expect(try examiner.exactMatches(sample).right == generated.count)
  }

  @Test func twoLessonsAreLearnedAndTakenOff() throws {
    let examiner = try examiner()
    let world = World.heldOutQuestions
    let witnesses = Array(world.prefix(40))
    let before = try examiner.fingerprint(witnesses)
    let skills = try examiner.exactMatches(world)

    try Lesson.products.teach(examiner)
    let facts = try examiner.exactMatches(
      NewProductLine.heldOutExchanges, adapters: ["products": 1])
    #expect(facts.share >= 0.95)
    let skillsWithProducts = try examiner.exactMatches(world, adapters: ["products": 1])
    #expect(skillsWithProducts.share >= skills.share - 0.02)

    try Lesson.polite.teach(examiner)
    let tone = Array(PoliteTone.heldOutQuestions.prefix(120))
    #expect(try examiner.politeAnswers(tone, adapters: ["polite": 1]).share >= 0.9)
    let skillsWithTone = try examiner.rightConclusions(world, adapters: ["polite": 1])
    #expect(skillsWithTone.share >= skills.share - 0.02)

    #expect(try examiner.fingerprint(witnesses, adapters: [:]) == before)
    try examiner.model.detach("products")
    try examiner.model.detach("polite")
    #expect(try examiner.fingerprint(witnesses) == before)
    #expect(try examiner.exactMatches(world) == skills)
  }
}
