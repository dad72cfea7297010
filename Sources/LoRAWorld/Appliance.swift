/// A kind of appliance, with what all models of the kind have in common.
struct ApplianceKind: Sendable {
  let name: String
  let faults: [Fault]
  /// What its owner cleans or checks at regular intervals: ("clean", "pump filter").
  let care: (verb: String, part: String)
  /// The part that is ordered most often.
  let spare: String

  /// Something that goes wrong, with its cure.
  struct Fault: Sendable {
    /// After "My Tide": "does not drain".
    let symptom: String
    /// After "It means that": "the water does not drain".
    let meaning: String
    /// A sentence: "The pump filter is probably blocked."
    let cause: String
    /// A sentence in the imperative without its period: "Empty the pump filter".
    let repair: String

    init(_ symptom: String, _ meaning: String, _ cause: String, _ repair: String) {
      self.symptom = symptom
      self.meaning = meaning
      self.cause = cause
      self.repair = repair
    }
  }
}

/// A model that the maker sells.
struct Appliance: Sendable {
  let name: String
  let kind: ApplianceKind
  /// "24 months".
  let warranty: String
  /// What the warranty covers: "parts and labour".
  let cover: String
  /// What it does not: "the door seal".
  let excluded: String
  /// The numbers of its two fault codes and the faults they stand for.
  let codes: [(number: Int, fault: Int)]
  /// "every 3 weeks".
  let careInterval: String
  /// In pounds.
  let price: Int
  let colour: String
  /// The city of the workshop that repairs it.
  let workshop: String
  /// The spare part's number, three digits.
  let part: Int

  init(
    _ name: String, _ kind: ApplianceKind, warranty: String, cover: String, excluded: String,
    codes: [(number: Int, fault: Int)], care careInterval: String, price: Int, colour: String,
    workshop: String, part: Int
  ) {
    self.name = name
    self.kind = kind
    self.warranty = warranty
    self.cover = cover
    self.excluded = excluded
    self.codes = codes
    self.careInterval = careInterval
    self.price = price
    self.colour = colour
    self.workshop = workshop
    self.part = part
  }

  /// A product sheet in prose.
  var sheet: String {
    let codes = codes.map { "Code E\($0.number) means that \(kind.faults[$0.fault].meaning)." }
    return """
      The \(name) is \(indefinite(kind.name)) made by Alderbrook. It comes in \(colour) and costs \
      \(price) pounds. Its warranty lasts \(warranty) and covers \(cover), but not \(excluded). \
      \(codes.joined(separator: " ")) \(capitalised(kind.care.verb)) its \(kind.care.part) \
      \(careInterval). The part number of its \(kind.spare) is \(part). It is repaired in \
      \(workshop).
      """
  }

  /// A repair guide in prose: the codes with what to do about them.
  var guide: String {
    let steps = codes.map { code in
      let fault = kind.faults[code.fault]
      return "If the \(name) \(fault.symptom), it shows code E\(code.number). "
        + "\(fault.cause) \(fault.repair)."
    }
    return "This is the repair guide of the \(name) \(kind.name). "
      + steps.joined(separator: " ")
  }
}
