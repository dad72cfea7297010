/// What can be asked about a model. Every list has ten ways to ask, so that some can be held out
/// and each of the others is still seen often.
extension Appliance {
  /// Everything there is to know about this model.
  var facts: [Fact] {
    var facts = [
      warrantyFact, exclusionFact, careFact, priceFact, colourFact, workshopFact, partFact,
    ]
    for code in codes {
      facts += [meaningFact(code), repairFact(code), symptomFact(code)]
    }
    return facts
  }

  private func fact(
    _ attribute: String, _ questions: [String], _ lead: String, _ last: String, _ conclusion: String
  ) -> Fact {
    Fact(
      topic: .appliances, key: "\(name)/\(attribute)", questions: questions,
      answer: "\(lead) \(last)", conclusion: conclusion)
  }

  private var warrantyFact: Fact {
    fact(
      "warranty",
      [
        "How long is the warranty of the \(name)?",
        "How long does the warranty on the \(name) last?",
        "For how long is the \(name) under warranty?",
        "What is the warranty period of the \(name) \(kind.name)?",
        "I bought \(indefinite(name)). How long is its warranty?",
        "How many months or years of warranty does the \(name) have?",
        "Can you tell me the warranty period of the \(name)?",
        "My \(name) is new. How long is it under warranty?",
        "How long is the \(name) \(kind.name) covered by the warranty?",
        "What length of warranty comes with the \(name)?",
      ],
      "The \(name) is covered for \(cover).", "Its warranty lasts \(warranty).", warranty)
  }

  private var exclusionFact: Fact {
    fact(
      "exclusion",
      [
        "What does the warranty of the \(name) not cover?",
        "What is not covered by the warranty of the \(name)?",
        "Which part of the \(name) is outside the warranty?",
        "What is excluded from the warranty of the \(name) \(kind.name)?",
        "Which part of my \(name) does the warranty leave out?",
        "Is there anything that the warranty of the \(name) does not cover?",
        "What does the warranty on the \(name) \(kind.name) exclude?",
        "I own \(indefinite(name)). Which part is not under warranty?",
        "Can you tell me what the warranty of the \(name) leaves out?",
        "Which part of the \(name) must I pay for myself under the warranty?",
      ],
      "The warranty of the \(name) covers faults in material.",
      "It does not cover \(excluded).", excluded)
  }

  private var careFact: Fact {
    let (verb, part) = kind.care
    return fact(
      "care",
      [
        "How often should I \(verb) the \(part) of the \(name)?",
        "How often must I \(verb) the \(part) of my \(name)?",
        "When should I \(verb) the \(part) of the \(name) \(kind.name)?",
        "How regularly do I \(verb) the \(part) of the \(name)?",
        "I own \(indefinite(name)). How often do I \(verb) its \(part)?",
        "What care does the \(part) of the \(name) need?",
        "Can you tell me how often to \(verb) the \(part) of the \(name)?",
        "How often does the \(part) of the \(name) \(kind.name) need care?",
        "What is the right interval for the \(part) of the \(name)?",
        "My \(name) is new. How often should I \(verb) its \(part)?",
      ],
      "Regular care keeps the \(name) in good order.",
      "\(capitalised(verb)) its \(part) \(careInterval).", careInterval)
  }

  private var priceFact: Fact {
    fact(
      "price",
      [
        "How much does the \(name) cost?",
        "What is the price of the \(name)?",
        "What does the \(name) \(kind.name) cost?",
        "How many pounds does the \(name) cost?",
        "I want to buy \(indefinite(name)). How much is it?",
        "Can you tell me the price of the \(name) \(kind.name)?",
        "For how much is the \(name) sold?",
        "How much must I pay for \(indefinite(name))?",
        "What would a new \(name) cost me?",
        "At what price do you sell the \(name)?",
      ],
      "The \(name) is sold in our shops.", "It costs \(price) pounds.", "\(price) pounds")
  }

  private var colourFact: Fact {
    fact(
      "colour",
      [
        "What colour is the \(name)?",
        "In which colour is the \(name) sold?",
        "Which colour does the \(name) \(kind.name) come in?",
        "What is the colour of the \(name)?",
        "I want to buy \(indefinite(name)). Which colour will it have?",
        "Can you tell me the colour of the \(name) \(kind.name)?",
        "In what colour do you make the \(name)?",
        "Which colour does \(indefinite(name)) have?",
        "What colour would a new \(name) be?",
        "In which colour can I order the \(name)?",
      ],
      "The \(name) is made in one colour only.", "It comes in \(colour).", colour)
  }

  private var workshopFact: Fact {
    fact(
      "workshop",
      [
        "Where is the \(name) repaired?",
        "Which workshop repairs the \(name)?",
        "In which city do you repair the \(name) \(kind.name)?",
        "Where can I have my \(name) repaired?",
        "I own \(indefinite(name)). Where do I send it for repair?",
        "Can you tell me where the \(name) is repaired?",
        "To which city does a broken \(name) go?",
        "Where is the workshop for the \(name) \(kind.name)?",
        "My \(name) is broken. Where will it be repaired?",
        "In what city is the workshop that repairs the \(name)?",
      ],
      "We repair the \(name) in our own workshop.", "The workshop is in \(workshop).",
      "in \(workshop)")
  }

  private var partFact: Fact {
    let spare = kind.spare
    return fact(
      "part",
      [
        "What is the part number of the \(spare) of the \(name)?",
        "Which part number does the \(spare) of the \(name) have?",
        "Under which number do I order the \(spare) of the \(name)?",
        "I need a new \(spare) for my \(name). What is its number?",
        "What number does the \(spare) of the \(name) \(kind.name) have?",
        "Can you tell me the part number of the \(spare) of the \(name)?",
        "I own \(indefinite(name)). Which number is its \(spare)?",
        "Which \(spare) fits the \(name)?",
        "What is the number of the \(spare) for the \(name) \(kind.name)?",
        "How do I order \(indefinite(spare)) for the \(name)?",
      ],
      "The \(spare) of the \(name) can be ordered by post.", "Its part number is \(part).",
      "\(part)")
  }

  private func meaningFact(_ code: (number: Int, fault: Int)) -> Fact {
    let e = "E\(code.number)"
    let meaning = kind.faults[code.fault].meaning
    return fact(
      "meaning/\(e)",
      [
        "What does code \(e) mean on the \(name)?",
        "What is the meaning of code \(e) on the \(name)?",
        "What does the \(name) \(kind.name) mean by code \(e)?",
        "Which fault does code \(e) stand for on the \(name)?",
        "Why does my \(name) show code \(e)?",
        "Can you explain code \(e) of the \(name)?",
        "What is wrong when the \(name) shows \(e)?",
        "I see \(e) on my \(name). What does it mean?",
        "Which fault does the \(name) \(kind.name) report with \(e)?",
        "What does \(e) on the display of the \(name) tell me?",
      ],
      "Code \(e) on the \(name) reports a fault.", "It means that \(meaning).", meaning)
  }

  private func repairFact(_ code: (number: Int, fault: Int)) -> Fact {
    let e = "E\(code.number)"
    let fault = kind.faults[code.fault]
    return fact(
      "repair/\(e)",
      [
        "My \(name) shows code \(e). What should I do?",
        "How do I fix code \(e) on the \(name)?",
        "How can I clear code \(e) on the \(name) \(kind.name)?",
        "What should I do about code \(e) on the \(name)?",
        "Which repair does code \(e) on the \(name) need?",
        "The \(name) shows \(e). How do I repair it?",
        "Can you tell me how to fix \(e) on the \(name)?",
        "What is the repair step for code \(e) of the \(name)?",
        "I see \(e) on my \(name). What must I do?",
        "How do I get rid of code \(e) on my \(name)?",
      ],
      "Code \(e) means that \(fault.meaning).", "\(fault.repair).", fault.repair)
  }

  private func symptomFact(_ code: (number: Int, fault: Int)) -> Fact {
    let fault = kind.faults[code.fault]
    return fact(
      "symptom/E\(code.number)",
      [
        "My \(name) \(fault.symptom). What should I do?",
        "The \(name) \(fault.symptom). How do I repair it?",
        "What can I do if the \(name) \(fault.symptom)?",
        "How do I fix \(indefinite(name)) that \(fault.symptom)?",
        "What helps when my \(name) \(fault.symptom)?",
        "Our \(name) \(kind.name) \(fault.symptom). What can we do?",
        "Can you tell me what to do if the \(name) \(fault.symptom)?",
        "I own \(indefinite(name)). What do I do if it \(fault.symptom)?",
        "The \(name) \(kind.name) \(fault.symptom). Which repair does it need?",
        "Since today my \(name) \(fault.symptom). How can I fix it?",
      ],
      fault.cause, "\(fault.repair).", fault.repair)
  }
}
