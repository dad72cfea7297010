import AnswerService
import LoRAKit

/// Two hundred requests at once, four tenants, and one whose adapter is replaced again and again meanwhile.
@main
struct AnswerServiceCommand {
  static func main() async throws {
    let model = try DemonstrationModel.make()
    let service = AnswerService(model, options: GenerationOptions(maximumTokens: 12))
    let tenants = ["bakery", "garage", "library", "clinic"]
    let versions = (0..<2).map { version in
      tenants.indices.map {
        DemonstrationModel.adapter(for: model, seed: UInt64(10 * version + $0))
      }
    }
    for (index, tenant) in tenants.enumerated() {
      try service.install(versions[0][index], for: tenant)
    }

    // What each version answers when nobody else asks.
    let prompt = [1, 5, 9, 2]
    var expected: [String: Set<[Int]>] = [:]
    for (index, tenant) in tenants.enumerated() {
      var answers: Set<[Int]> = []
      for version in tenant == "bakery" ? [0, 1] : [0] {
        try service.install(versions[version][index], for: tenant)
        answers.insert(try await service.answer(.init(tokens: prompt, tenant: tenant)))
      }
      expected[tenant] = answers
    }
    let (base, right) = (try await service.answer(.init(tokens: prompt)), expected)

    let clock = ContinuousClock()
    let start = clock.now
    let swaps = 200
    var (answered, own) = (0, 0)
    try await withThrowingTaskGroup(of: Bool?.self) { group in
      for request in 0..<200 {
        let index = request % (tenants.count + 1)
        let tenant = index < tenants.count ? tenants[index] : nil
        group.addTask {
          let answer = try await service.answer(.init(tokens: prompt, tenant: tenant))
          return tenant.map { right[$0]?.contains(answer) ?? false } ?? (answer == base)
        }
      }
      group.addTask {
        for swap in 0..<swaps {
          try service.install(versions[swap % 2][0], for: "bakery")
          await Task.yield()
        }
        return nil
      }
      for try await isOwn in group {
        guard let isOwn else { continue }
        answered += 1
        own += isOwn ? 1 : 0
      }
    }
    let seconds = (clock.now - start) / .seconds(1)
    print("\(answered) answers in \(Int(seconds * 1000)) ms, \(swaps) swaps meanwhile")
    print("\(own) of them are what their own adapter answers alone")
    let after = try await service.answer(.init(tokens: prompt))
    print("the base answers as before: \(after == base)")
  }
}
