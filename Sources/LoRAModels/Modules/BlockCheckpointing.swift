public import LoRAAutograd
import LoRATensor

/// Whether a model's blocks keep their activations for the backward pass, or are computed a second
/// time there: memory for one more forward computation. Belongs to the task.
///
/// Losses and gradients are the same bits either way. A trainer decides by
/// `TrainingOptions.checkpointing`; a loop of your own wraps the forward pass:
///
/// ```swift
/// let loss = BlockCheckpointing.during(true) {
///   model.loss(tokens: tokens, targets: targets, scale: scale)
/// }
/// ```
public enum BlockCheckpointing {
  @TaskLocal static var isOn = false

  /// Runs `body` with checkpointing of blocks on or off.
  public static func during<R>(_ isOn: Bool, _ body: () throws -> R) rethrows -> R {
    try $isOn.withValue(isOn, operation: body)
  }
}

extension Module {
  /// `body(x)`, of which only `x` is kept while ``BlockCheckpointing`` is on: call a block of a model
  /// of yours through this.
  ///
  /// The second computation runs in the backward pass, outside of the scopes of the first. It uses
  /// the adapters and the dropout of the first, which are noted here. (Adapters that are merged have
  /// become weights: merge and unmerge between passes only.) Anything else that `body` depends on it
  /// must capture.
  ///
  /// - Parameters:
  ///   - x: the only differentiated input of `body` beside parameters.
  ///   - body: computes with this module's layers; the same both times.
  public func checkpointed(
    _ x: Variable, _ body: @escaping @Sendable (Variable) -> Variable
  ) -> Variable {
    checkpointed([x]) { body($0[0]) }
  }

  /// The same with several differentiated inputs, all of which are kept.
  public func checkpointed(
    _ x: [Variable], _ body: @escaping @Sendable ([Variable]) -> Variable
  ) -> Variable {
    guard BlockCheckpointing.isOn, GradientMode.isRecording else { return body(x) }
    let adapters = AdapterScope.current ?? enabledSnapshot()
    let dropout = Dropout.step
    return LoRAAutograd.checkpointed(x) { x in
      Dropout.$step.withValue(dropout) {
        AdapterScope.$current.withValue(adapters) { body(x) }
      }
    }
  }

  /// What is enabled on this module's layers now; nil while adapters are merged into them.
  private func enabledSnapshot() -> AdapterSnapshot? {
    let slots = adapterSlots()
    return Attachment.exclusively {
      var chosen: [ObjectIdentifier: [ActiveAdapter]] = [:]
      for slot in slots {
        let active = slot.withState { $0.merged == nil ? $0.active($0.enabled) : nil }
        guard let active else { return nil }
        chosen[ObjectIdentifier(slot)] = active
      }
      return AdapterSnapshot(chosen)
    }
  }
}
