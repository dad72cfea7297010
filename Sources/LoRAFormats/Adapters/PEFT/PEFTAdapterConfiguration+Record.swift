extension PEFTAdapterConfiguration {
  /// The adapter's settings as its record has them, with what `--method` calls the method.
  package func recordOfSettings(method: String) -> [AdapterRecord.Entry] {
    var entries = [AdapterRecord.Entry("method", .text(method))]
    switch self.method.options.type.rankKeys {
    case .none: break
    case .rank: entries.append(.init("rank", Double(rank)))
    case .rankAndAlpha: entries += [.init("rank", Double(rank)), .init("alpha", alpha)]
    }
    if dropout > 0 { entries.append(.init("dropout", dropout)) }
    if usesRankStabilizedScale { entries.append(.init("rslora", .flag(true))) }
    let targets: String? =
      switch self.targets {
      case .names(let names): names.joined(separator: ",")
      case .pattern(let pattern): "regex:\(pattern)"
      case .allLinear: "all-linear"
      case .unspecified: nil
      }
    if let targets { entries.append(.init("targets", .text(targets))) }
    return entries
  }
}
