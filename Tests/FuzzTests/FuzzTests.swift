import Foundation
import Testing

/// Every reader is fed with thousands of damaged files, each in a process of its own: it may refuse
/// them with a typed error or make something of them, and must not crash, hang or take memory that
/// the file does not justify.
///
/// `LORA_FUZZ_ROUNDS=100000 swift test --filter FuzzTests` looks further;
/// `Scripts/sanitize.sh` runs the suite under AddressSanitizer.
@Suite(.serialized, .timeLimit(.minutes(10))) struct FuzzTests {
  /// Says how far the process got, if it did not succeed.
  private func report(_ door: Door, _ result: ExitTest.Result?) {
    guard result == nil else { return }
    let log = (try? String(contentsOfFile: door.log, encoding: .utf8)) ?? "no log"
    Issue.record("\(door.name): \(log)")
  }

  @Test func safetensors() async {
    report(
      .safetensors, await #expect(processExitsWith: .success) { try Fuzzing.run(.safetensors) })
  }

  @Test func gguf() async {
    report(
      .gguf, await #expect(processExitsWith: .success) { try Fuzzing.run(.gguf) })
  }

  @Test func models() async {
    report(
      .models, await #expect(processExitsWith: .success) { try Fuzzing.run(.models) })
  }

  @Test func adapters() async {
    report(
      .adapters, await #expect(processExitsWith: .success) { try Fuzzing.run(.adapters) })
  }

  @Test func attached() async {
    report(
      .attached, await #expect(processExitsWith: .success) { try Fuzzing.run(.attached) })
  }

  @Test func configurations() async {
    report(
      .configurations,
      await #expect(processExitsWith: .success) { try Fuzzing.run(.configurations) })
  }

  @Test func recipes() async {
    report(
      .recipes, await #expect(processExitsWith: .success) { try Fuzzing.run(.recipes) })
  }

  @Test func json() async {
    report(
      .json, await #expect(processExitsWith: .success) { try Fuzzing.run(.json) })
  }

  @Test func tokenizers() async {
    report(
      .tokenizers, await #expect(processExitsWith: .success) { try Fuzzing.run(.tokenizers) })
  }

  @Test func rows() async {
    report(
      .rows, await #expect(processExitsWith: .success) { try Fuzzing.run(.rows) })
  }

  @Test func quantized() async {
    report(
      .quantized, await #expect(processExitsWith: .success) { try Fuzzing.run(.quantized) })
  }

  @Test func ggufAdapters() async {
    report(
      .ggufAdapters, await #expect(processExitsWith: .success) { try Fuzzing.run(.ggufAdapters) })
  }

  @Test func dialects() async {
    report(
      .dialects, await #expect(processExitsWith: .success) { try Fuzzing.run(.dialects) })
  }
}
