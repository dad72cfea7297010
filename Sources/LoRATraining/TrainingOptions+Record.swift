public import LoRAFormats

extension Trainer {
  /// The settings of the run as an adapter's record has them; those that have no effect are left out.
  public var recordOfSettings: [AdapterRecord.Entry] {
    typealias Entry = AdapterRecord.Entry
    var entries: [Entry] = []
    switch options.duration {
    case .steps(let count): entries.append(Entry("steps", Double(count)))
    case .epochs(let count): entries.append(Entry("epochs", Double(count)))
    }
    entries += [
      Entry("batch_size", Double(options.batchSize)),
      Entry("accumulation", Double(options.accumulation)),
      Entry("optimizer", .text(optimizer.identifier)),
      Entry("learning_rate", options.learningRate),
      Entry("schedule", .text(options.schedule.rawValue)),
      Entry("warmup_steps", Double(options.warmupSteps)),
      Entry("weight_decay", options.weightDecay),
      Entry("clip_norm", Double(options.clipNorm)),
      Entry("precision", .text("\(options.precision)")),
      Entry("seed", .text("\(options.seed)")),
    ]
    if options.neftuneAlpha > 0 { entries.append(Entry("neftune_alpha", options.neftuneAlpha)) }
    if let plus = options.loraPlus { entries.append(Entry("loraplus_ratio", plus.ratio)) }
    if !options.shuffles { entries.append(Entry("shuffle", .flag(false))) }
    return entries
  }
}
