import Foundation
import TestSupport
import Testing

@testable import LoRATraining

/// Event files, whose bytes TensorBoard's own writer has written (Tests/Reference/tensorboard_events.py).
@Suite struct TensorBoardTests {
  private func step(_ number: Int) throws -> StepReport {
    let text = """
      {"step": \(number), "stepCount": 400, "loss": 2.25, "gradientNorm": 0.5,
       "learningRate": 0.001, "tokens": 20, "tokensPerSecond": 1234.5, "epoch": 1}
      """
    return try JSONDecoder().decode(StepReport.self, from: Data(text.utf8))
  }

  /// The check value of RFC 3720 and of every catalogue of checksums.
  @Test func theChecksumIsCRC32C() {
    #expect(TensorBoardRecord.crc32C(Array("123456789".utf8)) == 0xE306_9283)
    #expect(TensorBoardRecord.crc32C([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(TensorBoardRecord.crc32C([]) == 0)
  }

  @Test func recordsHaveTheBytesOfTensorBoardsWriter() throws {
    let expected = try Data(contentsOf: URL(filePath: Fixtures.path("training/events.tfevents")))
    let folder = try ScratchFolder.make()
    // A run that goes on after step 300: an earlier file lies there.
    try Data().write(to: URL(filePath: folder + "/events.out.tfevents.0000000007.lora"))
    nonisolated(unsafe) var time = -0.5
    let board = try TensorBoardLog(folder: folder, continuingAfter: 300) {
      time += 1
      return time
    }
    try board.add(.step(try step(301)))
    try board.add(
      .measurement(
        .init(
          step: 301,
          values: [
            .init(key: "nll", name: "NLL", number: .nan),
            .init(key: "f1", name: "F1", number: 0.75),
          ])))
    try board.add(
      .sample(.init(step: 301, prompt: 1, question: "これは\n何?", text: "<b>")))
    try board.add(.warning(step: 301, text: "it diverges"))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    // Behind the earlier one, though the clock is before it.
    #expect(
      names == ["events.out.tfevents.0000000007.lora", "events.out.tfevents.0000000008.lora"])
    let found = try Data(contentsOf: URL(filePath: folder + "/" + names[1]))
    // The clock is asked once for the file's name.
    #expect(Array(found) == Array(expected))
  }
}
