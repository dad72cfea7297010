import Testing

/// Options that take numbers: a wrong one is told what is right.
@Suite struct NumberTests {
  private static let wrong: [(command: [String], option: String, value: String, says: String)] = [
    (["generate", "--prompt", "a"], "--temperature", "-1", "must be a number, 0.0 or more"),
    (["generate", "--prompt", "a"], "--temperature", "nan", "must be a number, 0.0 or more"),
    (["generate", "--prompt", "a"], "--max-tokens", "-1", "must be 0 or more"),
    (["generate", "--prompt", "a"], "--top-k", "-3", "must be 0 or more"),
    (["generate", "--prompt", "a"], "--top-p", "-0.5", "above 0.0 and at most 1.0"),
    (["generate", "--prompt", "a"], "--top-p", "1.5", "above 0.0 and at most 1.0"),
    (["generate", "--prompt", "a"], "--seed", "-1", "whole number, 0 to"),
    (train, "--steps", "-1", "must be 1 or more"), (train, "--epochs", "-2", "must be 1 or more"),
    (train, "--batch", "-8", "must be 1 or more"),
    (train, "--sequence-length", "-1", "must be 1 or more"),
    (train, "--learning-rate", "-1e-3", "0.0 or more"),
    (train, "--learning-rate", "inf", "0.0 or more"),
    (train, "--loraplus-ratio", "-1", "1.0 or more"), (train, "--warmup", "-1", "0 or more"),
    (train, "--weight-decay", "-.1", "0.0 or more"), (train, "--clip-norm", "-1", "0.0 or more"),
    (train, "--clip-norm", "1e-40", "is 1e-40; it must be a number, 0.0 or more, and if not 0"),
    (train, "--clip-norm", "1e39", "is 1e+39; it must be"),
    (train, "--accumulate", "-1", "1 or more"), (train, "--seed", "-7", "whole number, 0 to"),
    (train, "--rank", "-8", "1 or more"), (train, "--dropout", "-0.1", "at least 0.0 and below 1"),
    (train, "--memory", "-1GiB", "a size above 0"), (train, "--memory", "much", "a size above 0"),
    (sweep, "--steps", "-1", "2 to 1000"), (sweep, "--batch", "-1", "1 or more"),
    (sweep, "--sequence-length", "-1", "1 or more"),
    (["combine", "--adapter", "a", "--output", "o"], "--rank", "-1", "1 or more"),
    (["combine", "--adapter", "a", "--output", "o"], "--density", "-0.5", "0.0 or more"),
    (["combine", "--adapter", "a", "--output", "o"], "--seed", "-5", "whole number, 0 to"),
    (["reduce", "--adapter", "a", "--output", "o"], "--rank", "-1", "1 or more"),
    (["reduce", "--adapter", "a", "--output", "o"], "--energy", "-1", "above 0.0 and at most 1.0"),
    (
      ["extract", "--base", "a", "--tuned", "b", "--output", "o", "--rank", "1"], "--iterations",
      "-1", "0 to 1000"
    ),
    (
      ["extract", "--base", "a", "--tuned", "b", "--output", "o", "--rank", "1"], "--iterations",
      "100000000", "0 to 1000"
    ),
    (["extract", "--base", "a", "--tuned", "b", "--output", "o"], "--rank", "-1", "1 or more"),
    (["bench", "gemm"], "--m", "-1", "1 or more"),
    (["bench", "gemm"], "--rounds", "-1", "1 or more"),
    (["bench", "generate"], "--prompt-tokens", "-1", "1 or more"),
    (["bench", "generate"], "--rank", "-1", "0 or more"),
    (["bench", "train"], "--steps", "-1", "1 or more"),
    (["bench", "adapters"], "--repeats", "-1", "1 or more"),
  ]
  private static let train = ["train", "--data", "a.txt", "--output", "o"]
  private static let sweep = ["sweep", "--data", "a.txt", "--adapter", "a"]

  /// Numbers that float32 makes another of are named as they were given.
  @Test(arguments: [
    ("--alpha", "1e-50", "alpha is 1e-50; expected a finite number above 0 in float32"),
    ("--alpha", "1e39", "alpha is 1e+39; expected a finite number"),
    ("--alpha", "1e-37", "the scale of alpha 1e-37 at rank 64 is 1.5625e-39; expected at least"),
    ("--dropout", "0.9999999999", "is 0.9999999999; expected at least 0, below 1 in float32"),
  ])
  func aNumberThatFloat32LacksIsNamedAsItWasGiven(
    option: String, value: String, words: String
  ) throws {
    let arguments = [
      "train", "--model", "m", "--data", "a.txt", "--output", "o", "--rank", "64", option, value,
    ]
    let message = try FailureTests().failure(arguments)
    #expect(message.contains(words), "\(message)")
  }

  @Test func aWrongNumberIsToldWhatIsRight() throws {
    for (command, option, value, words) in Self.wrong {
      let needsModel =
        !["combine", "reduce", "extract"].contains(command[0]) && command.last != "gemm"
      let outcome = try Command.start(
        command + (needsModel ? ["--model", "m"] : []) + [option, value]
      ).outcome()
      let line = outcome.errors.split(separator: "\n").first.map(String.init) ?? ""
      #expect(outcome.status == 64, "\(command) \(option) \(value)")
      #expect(
        line.hasPrefix("error: ") && line.contains(option) && line.contains(words),
        "\(command) \(option) \(value): \(line)")
    }
  }
}
