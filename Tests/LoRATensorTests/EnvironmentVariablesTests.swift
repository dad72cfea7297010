import Testing

@testable import LoRATensor

@Suite struct EnvironmentVariablesTests {
  private func problem(_ name: String, _ value: String) -> String? {
    let problems = EnvironmentVariables.problems(of: [(name, value)])
    #expect(problems.count < 2)
    return problems.first
  }

  @Test(arguments: ["1", "2", "256", "008"]) func numbersOfThreadsAreFine(_ value: String) {
    #expect(problem("LORA_THREADS", value) == nil)
  }

  @Test(arguments: [
    "", "0", "-1", "+2", "two", "8 ", " 8", "8abc", "0x8", "1e3", "2.5", "257", "99999",
    "9223372036854775808", "٣",
  ]) func otherThreadsAreReported(_ value: String) throws {
    let text = try #require(problem("LORA_THREADS", value))
    #expect(text.contains("LORA_THREADS is '\(value)'; expected a number from 1 to 256; "))
    #expect(text.contains("\(Threads.count) thread"))
  }

  @Test func controlCharactersAreNotShown() throws {
    let text = try #require(problem("LORA_THREADS", "\u{1B}[31m\u{7}"))
    #expect(text.contains("'?[31m?'"))
  }

  @Test(arguments: ["", "AVX2", "sse", "avx2 ", "nonsense"]) func unknownKernelsAreReported(
    _ value: String
  ) throws {
    let text = try #require(problem("LORA_KERNELS", value))
    #expect(text.contains("'\(value)'; expected one of reference, generic"))
    #expect(text.hasSuffix("'\(KernelFamily.active.name)' is used"))
  }

  @Test(arguments: KernelFamily.allCases) func familiesAreFineWhereTheyRun(_ family: KernelFamily) {
    let text = problem("LORA_KERNELS", family.name)
    if family.isSupported {
      #expect(text == nil)
    } else {
      #expect(text?.contains("which this CPU does not run") == true)
    }
  }

  @Test(arguments: [
    ("LORA_THREAD", "LORA_THREADS"), ("lora_threads", "LORA_THREADS"),
    ("LORA_NUM_THREADS", "LORA_THREADS"), ("LORATHREADS", "LORA_THREADS"),
    ("LORA_KERNEL", "LORA_KERNELS"), ("LORA_KERNLES", "LORA_KERNELS"),
  ]) func misspellingsAreNamed(_ name: String, _ meant: String) {
    #expect(problem(name, "2") == "\(name) is not followed; is \(meant) meant?")
  }

  @Test(arguments: ["LORA_SHARED", "PATH", "LORA_FUZZ_ROUNDS", "OMP_NUM_THREADS", "LORA", ""])
  func othersAreNobodysBusiness(_ name: String) {
    #expect(problem(name, "x") == nil)
  }
}
