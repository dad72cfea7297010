import AnswerService
import LoRAKit
import Testing

/// `Scripts/sanitize.sh` runs this suite under ThreadSanitizer.
@Suite(.serialized) struct ConcurrencyTests {
  private let model: any PretrainedLanguageModel
  private let service: AnswerService
  private let tenants = ["a", "b", "c"]

  init() throws {
    model = try DemonstrationModel.make(seed: 1)
    service = AnswerService(model, options: GenerationOptions(maximumTokens: 8))
    for (index, tenant) in tenants.enumerated() {
      try service.install(DemonstrationModel.adapter(for: model, seed: UInt64(index)), for: tenant)
    }
  }

  private func question(_ index: Int, _ tenant: String?) -> AnswerService.Question {
    AnswerService.Question(
      tokens: [3, 1 + index % 5, 7], tenant: tenant, strength: index % 3 == 0 ? 0.5 : 1)
  }

  @Test("every answer under load is the one of its own adapter")
  func answersBelongToTheirTenants() async throws {
    let choices = tenants.map { Optional($0) } + [nil]
    var questions: [AnswerService.Question] = []
    for index in 0..<40 { questions.append(question(index, choices[index % choices.count])) }
    var expected: [[Int]] = []
    for question in questions { expected.append(try await service.answer(question)) }
    // Tenants differ, or the comparison below could not fail.
    #expect(Set(expected).count > tenants.count)

    let service = service
    let answers = try await withThrowingTaskGroup(of: (Int, [Int]).self) { group in
      for (index, question) in questions.enumerated() {
        group.addTask { (index, try await service.answer(question)) }
      }
      var answers: [Int: [Int]] = [:]
      for try await (index, answer) in group { answers[index] = answer }
      return answers
    }
    for (index, answer) in expected.enumerated() { #expect(answers[index] == answer) }
    let together = try service.answer(together: questions)
    #expect(together == expected)
  }

  @Test("a swap under load: an answer is of the old version or of the new, never of both")
  func swapsUnderLoad() async throws {
    let versions = [0, 1].map { DemonstrationModel.adapter(for: model, seed: 100 + $0) }
    let asked = question(1, "a")
    var expected: [[Int]] = []
    for version in versions {
      try service.install(version, for: "a")
      expected.append(try await service.answer(asked))
    }
    #expect(expected[0] != expected[1])
    let other = question(1, "b")
    let steady = try await service.answer(other)

    let service = service
    let allowed = Set(expected)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<6 {
            let answer = try await service.answer(asked)
            #expect(allowed.contains(answer))
            let unchanged = try await service.answer(other)
            #expect(unchanged == steady)
          }
        }
      }
      group.addTask {
        for swap in 0..<60 {
          try service.install(versions[swap % 2], for: "a")
          await Task.yield()
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("an adapter that does not fit is refused, and the tenant keeps the old one")
  func misfits() async throws {
    let before = try await service.answer(question(1, "a"))
    var wrong = DemonstrationModel.adapter(for: model, seed: 7)
    wrong.layers[0].path = "model.layers.7.self_attn.q_proj"
    #expect(throws: AdapterError.self) { try service.install(wrong, for: "a") }
    let after = try await service.answer(question(1, "a"))
    #expect(after == before)
    try service.remove("b")
    await #expect(throws: AdapterError.self) { try await service.answer(question(1, "b")) }
  }
}
