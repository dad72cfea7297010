import LoRAFiles

extension DataReader {
  /// Reads the data of several files, each as often as its weight says, and keeps some to measure on, each
  /// once.
  ///
  /// - Parameters:
  ///   - files: the files.
  ///   - split: what is kept; nil for nothing.
  ///   - tensor: what is read of a safetensors file of which no tensor is named.
  /// - Returns: the data, and what became of the records of each file.
  /// - Throws: what ``read(_:tensor:)`` throws, and ``TrainingError`` where a weight leaves nothing of its
  ///   file, or the split nothing of a side.
  public func read(
    _ files: [WeightedFile], split: DataSplit? = nil, tensor: String = "train"
  ) throws -> (training: TokenDataSet, validation: TokenDataSet?, reports: [DataReport]) {
    var (sets, reports, copies) = ([TokenDataSet](), [DataReport](), [Int]())
    if let file = files.first, files.count == 1, file.weight == 1 {
      let (data, report) = try read(file.path, tensor: tensor)
      guard let split else { return (data, nil, [report]) }
      let (training, validation) = try data.divided(by: split)
      return (training, validation, [report])
    }
    for file in files {
      let (data, report) = try read(file.path, tensor: tensor)
      let counts = data.splitKeys.map { file.copies(of: $0) }
      guard counts.contains(where: { $0 > 0 }) else {
        throw file.noneLeft(of: data.exampleCount)
      }
      sets.append(data)
      reports.append(report)
      copies += counts
    }
    let data = try TokenDataSet(joining: sets, memoryLimit: options.memoryLimit)
    sets = []
    let chosen = copies.indices.filter { copies[$0] > 0 }
    guard let split else {
      guard copies.contains(where: { $0 != 1 }) else { return (data, nil, reports) }
      return (
        try data.choosing(chosen.lazy.flatMap { repeatElement($0, count: copies[$0]) }), nil,
        reports
      )
    }
    let keys = data.splitKeys
    let held = try split.heldOut(chosen.map { keys[$0] }, source: data.source)
    let learned = zip(chosen, held).flatMap { index, isHeld in
      repeatElement(index, count: isHeld ? 0 : copies[index])
    }
    let measured = zip(chosen, held).filter(\.1).map(\.0)
    return (try data.choosing(learned), try data.choosing(measured), reports)
  }

  /// The tensor `name` of the safetensors file of `path`, if it is one and has it.
  package func readTensor(
    _ name: String, ifIn path: String
  ) throws -> (data: TokenDataSet, report: DataReport)? {
    try TokenSequences.ifPresent(name, in: path).map { try read($0) }
  }

  /// The tensors `name` of the safetensors files among `paths` that have it; nil if none does.
  package func readTensors(_ name: String, ifIn paths: [String]) throws -> TokenDataSet? {
    let sets = try paths.compactMap { try readTensor(name, ifIn: $0)?.data }
    return sets.isEmpty ? nil : try TokenDataSet(joining: sets)
  }
}
