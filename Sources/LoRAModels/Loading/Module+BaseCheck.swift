import LoRAFiles
import LoRAFormats

extension Module {
  /// What to tell about the base that the adapter was made for, where it says and this model is not just
  /// that; nil where there is nothing to tell. Throws for another base, unless `allowsOther`.
  func noteOfBase(
    of file: AdapterFile, allowsOther: Bool
  ) throws(FormatError) -> String? {
    guard let base = file.record?.base, let made = base.fingerprint,
      let model = self as? any PretrainedTokenModel
    else { return nil }
    let own = BaseFingerprint(of: model)
    switch made.agreement(with: own) {
    case .same: return nil
    case .otherType:
      return made.type == own.type
        ? "the base was quantized otherwise than the one that the adapter was made on: results differ "
          + "by the rounding"
        : "it was made on this base as \(made.type), and the base is \(own.type) here: results differ "
          + "by the rounding"
    case .other:
      let both =
        "it was made for \(base.name.map { "'\($0)', " } ?? "")the base with the fingerprint \(made), "
        + "and this model's is \(own)"
      guard !allowsOther else { return both + "; it is used all the same" }
      throw FormatError(
        .otherBase, file: file.path, subject: "the base", problem: both,
        remedy: "give the base that it was made for, or allow this one with --allow-other-base (in "
          + "Swift: allowsOtherBase)")
    }
  }
}
