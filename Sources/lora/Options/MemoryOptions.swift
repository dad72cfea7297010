import ArgumentParser
import Foundation
import LoRAKit

/// What a training run may take of the memory.
struct MemoryOptions: ParsableArguments {
  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: """
      Compute the activations of the model's blocks a second time instead of keeping them. (default: \
      only where memory is short)
      """)
  var checkpointing: Bool?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most memory that training may take, as in 8GiB; a run that would need more is refused "
        + "before it starts. (default: what the machine has available)",
      valueName: "size"),
    transform: ByteCount.init(option:))
  var memory: ByteCount?

  /// Writes the choices into `options`.
  func apply(to options: inout TrainingOptions) {
    options.checkpointing = checkpointing.map { $0 ? .always : .never } ?? .automatic
    options.memoryLimit = memory?.bytes
  }
}

/// A number of bytes as people write it: 8GiB, 512MiB, 6.5GB, 1000000.
struct ByteCount: Sendable {
  let bytes: Int

  /// Reads an option's value; the error says what it takes.
  init(option: String) throws(ValidationError) {
    guard let size = ByteCount(argument: option) else {
      throw ValidationError("it must be a size above 0, as 8GiB, 512MiB or 1000000")
    }
    self = size
  }

  init?(argument: String) {
    let units: [(String, Double)] = [
      ("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30), ("TiB", 0x1p40), ("KB", 1e3),
      ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1), ("", 1),
    ]
    for (unit, factor) in units where argument.lowercased().hasSuffix(unit.lowercased()) {
      let number = argument.dropLast(unit.count).trimmingCharacters(in: .whitespaces)
      guard let value = Double(number), value > 0, value * factor < 1e18 else { return nil }
      bytes = Int(value * factor)
      return
    }
    return nil
  }
}
