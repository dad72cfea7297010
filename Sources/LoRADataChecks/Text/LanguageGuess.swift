/// The language of a text, by its script and, among those of the Latin and Cyrillic alphabets, by its
/// commonest words.
struct LanguageGuess {
  /// Languages by the words that say nothing of what a text is about.
  private static let functionWords: [(language: String, words: String)] = [
    (
      "English",
      "the of and to in is that it for was with as are on be this by have from or had not but what were "
        + "when we there can which their if will would about they your how you do does should could an at his "
        + "her she he has been than then so my our its who why where because after before into i a me am all"
    ),
    (
      "German",
      "der die das und ist nicht ein eine einen einem einer mit auf für von dem den des sich auch es ich sie "
        + "wir zu im dass wie oder aber sind wird werden kann man sollten muss nach bei aus wenn nur noch "
        + "darauf dann zur zum haben hat war ihr ihre"
    ),
    (
      "French",
      "le la les des et est une un dans que qui pour pas sur avec au aux du ce cette il elle nous vous je ne "
        + "sont être par plus mais ou où leur leurs à d'abord faut avoir été puis comme car votre vos "
        + "peut ont son ses"
    ),
    (
      "Spanish",
      "el la los las de y que en un una es por con para del se no lo como más pero su sus al este esta son "
        + "hay muy o cuando sin sobre también ha ser está entre porque después hasta desde todo"
    ),
    (
      "Italian",
      "il lo la gli le di che è e un una per con non del della dei delle si sono come più ma anche nel nella "
        + "al alla questo questa da ha essere dopo quando perché molto su tra"
    ),
    (
      "Portuguese",
      "o a os as de que e do da dos das em um uma para com não no na nos nas por mais se como mas ao foi é "
        + "são ou ser tem sua seu também muito até depois quando isso pela pelo você"
    ),
    (
      "Dutch",
      "de het een en van in is dat op te niet zijn voor met aan die er ook als maar om bij dan nog naar wordt "
        + "worden deze dit kan je ik wij of door uit over heeft hebben moet"
    ),
    (
      "Swedish",
      "och att det i en är som på av för med till den har inte om ett de jag du kan så men från var vi eller "
        + "när man ska bli efter mycket hur"
    ),
    (
      "Polish",
      "i w na z do się nie że to jest o jak ale co po tak za od przez dla być są był może tylko czy oraz "
        + "które który przy już"
    ),
    (
      "Turkish",
      "ve bir bu da de için ile çok ne olarak gibi daha ama var olan en kadar sonra ben sen o değil mi ya "
        + "her şey"
    ),
    (
      "Russian",
      "и в не на что я с он как это по но она к из у за от так же для мы вы бы то о был были его если или "
        + "только еще потом есть быть можно"
    ),
    (
      "Ukrainian",
      "і в не на що я з він як це по але вона до із у за від так для ми ви та або тільки ще є її"
    ),
  ]

  private var languages: [UInt32: UInt16] = [:]

  init() {
    for (index, entry) in Self.functionWords.enumerated() {
      for word in entry.words.split(separator: " ") {
        languages[TextWords.hash(of: String(word)), default: 0] |= 1 << UInt16(index)
      }
    }
  }

  /// The language of a text; nil where too little of it says.
  func language(of words: TextWords) -> String? {
    let letters = words.letters
    let total = letters.total
    guard total >= 12 else { return nil }
    func share(_ script: Script) -> Double { Double(letters[script]) / Double(total) }
    // Names and terms of the Latin alphabet stand in texts of every language.
    let others = total - letters[.latin]
    func shareOfOthers(_ script: Script) -> Double {
      Double(letters[script]) / Double(max(1, others))
    }
    if others * 2 >= total {
      if letters[.kana] * 5 >= others, shareOfOthers(.kana) + shareOfOthers(.han) > 0.8 {
        return "Japanese"
      }
      if shareOfOthers(.han) > 0.9, letters[.kana] == 0 { return "Chinese" }
      if shareOfOthers(.hangul) > 0.8 { return "Korean" }
      if shareOfOthers(.arabic) > 0.8 { return "Arabic" }
      if shareOfOthers(.hebrew) > 0.8 { return "Hebrew" }
      if shareOfOthers(.greek) > 0.8 { return "Greek" }
      if shareOfOthers(.devanagari) > 0.8 { return "Hindi" }
      if shareOfOthers(.thai) > 0.8 { return "Thai" }
      if shareOfOthers(.cyrillic) > 0.8 {
        return commonest(words, least: 2, among: ["Russian", "Ukrainian"]) ?? "Russian"
      }
      return nil
    }
    return share(.latin) > 0.9 ? commonest(words, least: 4, among: nil) : nil
  }

  /// Of which languages a text has function words, a bit each, and in the last bits its script: a text that is
  /// too short for ``language(of:)`` may still say what it is not.
  func hints(of words: TextWords) -> UInt32 {
    var hints: UInt32 = 0
    for word in words.words { hints |= UInt32(languages[word] ?? 0) }
    if words.letters[.latin] * 10 >= words.letters.total * 9, words.letters.total >= 8 {
      hints |= Self.latin
    }
    return hints
  }

  private static let latin: UInt32 = 1 << 31

  /// Whether hints speak for a language, and not at all for another.
  static func hints(_ hints: UInt32, sayOnly language: String, not other: String) -> Bool {
    func bit(_ name: String) -> UInt32? {
      functionWords.firstIndex { $0.language == name }.map { 1 << UInt32($0) }
    }
    guard let wanted = bit(language), hints & wanted != 0 else { return false }
    if let bit = bit(other) { return hints & bit == 0 }
    // A script of its own, of which the question has nothing.
    return hints & latin != 0
  }

  /// The language with most function words, if it has many and twice as many as the next.
  private func commonest(_ words: TextWords, least: Int, among names: [String]?) -> String? {
    var counts = [Int](repeating: 0, count: Self.functionWords.count)
    for word in words.words {
      guard var mask = languages[word] else { continue }
      while mask != 0 {
        counts[mask.trailingZeroBitCount] += 1
        mask &= mask - 1
      }
    }
    if let names {
      for index in counts.indices where !names.contains(Self.functionWords[index].language) {
        counts[index] = 0
      }
    }
    let order = counts.indices.sorted { counts[$0] > counts[$1] }
    let (best, second) = (counts[order[0]], counts[order[1]])
    guard best >= least, best * 6 >= words.words.count, best * 2 >= second * 3 else { return nil }
    return Self.functionWords[order[0]].language
  }
}
