public import LoRATensor

/// A recipe that makes one adapter a block, as ``Bottleneck``.
public protocol BlockAdapterMethod: Sendable {
  /// What the recipe makes.
  associatedtype Adapter: LinearAdapter
  /// Makes the adapter of `block`, without effect until it is trained. Throws
  /// ``AdapterError/invalidValue(parameter:value:expected:)`` for hyperparameters that nothing can be
  /// learned with.
  func makeAdapter(
    for block: any AdaptableBlock, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
}

extension Module {
  /// The blocks that adapters can be attached to, with their paths.
  public func adaptableBlocks() -> [(path: String, block: any AdaptableBlock)] {
    modules().compactMap { path, module in
      (module as? any AdaptableBlock).map { (path, $0) }
    }
  }

  /// Attaches a fresh adapter to every block, and enables it.
  ///
  /// ```swift
  /// try model.inject(Bottleneck.houlsby(), named: "support")
  /// ```
  ///
  /// All or nothing. A fresh adapter changes no output.
  ///
  /// - Parameters:
  ///   - method: the recipe.
  ///   - name: what the adapter is called from now on.
  ///   - leavingOut: the blocks that get none, counted from 0.
  ///   - seed: with a block's path, what its initial values depend on.
  /// - Throws: ``AdapterError``, also for a model without an ``AdaptableBlock``.
  @discardableResult
  public func inject(
    _ method: some BlockAdapterMethod, named name: String = "default",
    leavingOut: Set<Int> = [], seed: UInt64 = 0
  ) throws(AdapterError) -> InjectionReport {
    let blocks = adaptableBlocks()
    guard !blocks.isEmpty else {
      throw .unsupported(
        layer: "the model's blocks",
        reason: "\(type(of: self)) has no block that is an AdaptableBlock")
    }
    let known = blocks.indices
    if let other = leavingOut.sorted().first(where: { !known.contains($0) }) {
      throw .invalidValue(
        parameter: "leavingOut", value: "\(other)",
        expected: "blocks from 0 to \(known.upperBound - 1)")
    }
    var report = InjectionReport(layers: [], parameterCount: 0, warnings: structureProblems())
    var adapters: [String: any LinearAdapter] = [:]
    for (index, (path, block)) in blocks.enumerated() where !leavingOut.contains(index) {
      var random = SeededRandom(seed: seed, path: path)
      let adapter = try method.makeAdapter(for: block, using: &random)
      adapters[path] = adapter
      report.add(adapter, path: path)
    }
    guard !adapters.isEmpty else {
      throw .invalidValue(
        parameter: "leavingOut", value: "all \(blocks.count) blocks",
        expected: "at least one to adapt")
    }
    try attach(adapters, named: name)
    return report
  }
}
