import Foundation
import Testing

/// `lora train --tensorboard`.
@Suite(.serialized) struct TensorBoardFileTests {
  private func arguments(_ output: String, _ flags: [String]) throws -> [String] {
    [
      "train", "--model", Fixtures.model("llama-grouped"), "--data", try Fixtures.sequences(),
      "--output", output, "--batch", "3", "--seed", "5", "--no-report",
    ] + flags
  }

  /// The events of a file of TFRecords, without the frames.
  private func events(_ path: String) throws -> [Data] {
    let data = try Data(contentsOf: URL(filePath: path))
    var events: [Data] = []
    var place = 0
    while place < data.count {
      let length = data[place..<place + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
      events.append(data[place + 12..<place + 12 + length])
      place += 16 + length
    }
    return events
  }

  @Test func stepsAreThereAndARunGoesOn() throws {
    let folder = try Command.temporaryFolder()
    let (board, log) = (folder + "/board", folder + "/log.jsonl")
    let running = try Command.start(
      try arguments(
        folder + "/a",
        ["--steps", "300", "--checkpoint-every", "2", "--tensorboard", board, "--log", log]))
    while running.process.isRunning {
      let count = (try? String(contentsOfFile: log, encoding: .utf8))?.split(separator: "\n").count
      if count ?? 0 >= 8 { break }
      usleep(2000)
    }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    #expect(Fixtures.names(in: board).count == 1)
    let rest = try Command.start(["train", "--resume", folder + "/a"]).outcome()
    #expect(rest.status == 0, "\(rest.errors)")
    let names = Fixtures.names(in: board)
    #expect(names.count == 2 && names.allSatisfy { $0.hasPrefix("events.out.tfevents.") })
    let first = try events(board + "/" + names[0])
    let second = try events(board + "/" + names[1])
    for events in [first, second] {
      #expect(events[0].range(of: Data("brain.Event:2".utf8)) != nil)
    }
    #expect(first[1].range(of: Data("gradient_norm".utf8)) != nil)
    // What is made again is taken back: field 7, a session that starts.
    #expect(second[1].suffix(4) == Data([0x3A, 2, 8, 1]))
    // One event a step, up to the last.
    let steps = second.filter { $0.range(of: Data("gradient_norm".utf8)) != nil }.count
    #expect(steps < 300 && steps + first.count - 1 >= 300)
  }

  @Test func otherTrainingsFilesStay() throws {
    let folder = try Command.temporaryFolder()
    let board = ["--tensorboard", folder + "/board", "--steps", "2"]
    #expect(try Command.start(try arguments(folder + "/a", board)).outcome().status == 0)
    let before = Fixtures.names(in: folder + "/board")
    let refused = try Command.start(try arguments(folder + "/b", board)).outcome()
    #expect(refused.status == 1 && refused.errors.contains("event files of a training already"))
    #expect(Fixtures.names(in: folder + "/board") == before)
    let forced = try Command.start(try arguments(folder + "/b", board + ["--force"])).outcome()
    #expect(forced.status == 0, "\(forced.errors)")
    #expect(Fixtures.names(in: folder + "/board").count == 1)
  }
}
