// The names of word-splitting rules in GGUF files, and the patterns of the tokenizers they stand for.

extension WordCutting {
  // MARK: Parts of patterns

  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let marks = #" ?[^\s\p{L}\p{N}]+[\r\n]*"#
  private static let spaces = #"\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// Words after at most one other sign, then the given pattern of numbers.
  private static func words(_ numbers: String) -> String {
    #"[^\r\n\p{L}\p{N}]?\p{L}+|"# + numbers + "|" + marks + "|" + spaces
  }

  /// Words in which small letters follow capital ones, as GPT-4o and its successors cut.
  private static func casedWords(_ suffix: String, _ numbers: String) -> String {
    #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"# + suffix
      + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"# + suffix
      + "|" + numbers + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + spaces
  }

  private static let llama3 = contractions + "|" + words(#"\p{N}{1,3}"#)
  private static let gpt2 = PreTokenizer.byteLevelPattern
  private static let gpt4o = casedWords(contractions + "?", #"\p{N}{1,3}"#)
  private static let bloom = #" ?[^(\s|.,!?…。，、।۔،)]+"#
  private static let lines = #"[^\n]+|[\n]+"#

  /// DeepSeek's words, after one sign of ASCII or none that is a letter, mark or symbol.
  private static func deepSeek(_ marks: String, _ spaces: String) -> String {
    ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"##
      + #" ?[\p{P}\p{S}]+"# + marks + "|" + spaces + #"|\s+(?!\S)|\s+"#
  }

  private static let kanaAndIdeographs = #"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"#
  private static let eastAsian = #"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"#
  private static let deepSeek3 = [
    #"\p{N}{1,3}"#, kanaAndIdeographs, deepSeek(#"[\r\n]*"#, #"\s*[\r\n]+"#),
  ]

  /// The letters with two cases of DeepSeek LLM's pattern.
  private static let casedLetters =
    #"A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}"#
    + #"\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}"#
    + #"\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}"#
    + #"\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}"#
    + #"\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}"#
    + #"\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}"#
    + #"\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}"#
    + #"\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}"#
    + #"\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}"#
    + #"\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}"#
    + #"\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}"#
    + #"\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}"#
    + #"\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}"#
    + #"\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}"#
    + #"\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}"#
    + #"\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}"#
    + #"\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}"#
    + #"\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}"#

  private static let afmoeScripts =
    #"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF}"#
    + #"\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{E7F}\x{EC0}-\x{EFF}\x{1780}-\x{17FF}"#
    + #"\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+"#

  // MARK: Names

  /// The names that are known.
  static let all: [(names: [String], cutting: WordCutting)] = [
    (
      [
        "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano",
      ],
      WordCutting(patterns: [llama3], ignoresMerges: true, addsBeginning: true)
    ),
    (["dbrx", "smaug-bpe", "chatglm-bpe"], WordCutting(patterns: [llama3])),
    (["glm4", "glm5"], WordCutting(patterns: [llama3], ignoresMerges: true)),
    (
      ["minicpm5"],
      WordCutting(
        patterns: [#"\p{N}{1,3}"#, contractions + "|" + words(#"\p{N}+"#)], ignoresMerges: true)
    ),
    (
      ["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"],
      WordCutting(patterns: [TokenizerDefinition.qwen2Pattern], composes: true)
    ),
    (
      ["qwen35"],
      WordCutting(
        patterns: [
          contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|"#
            + #" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"# + spaces
        ])
    ),
    (
      ["stablelm2", "hunyuan", "solar-open", "grok-2"],
      WordCutting(patterns: [TokenizerDefinition.qwen2Pattern])
    ),
    (["ufakzeka"], WordCutting(patterns: [words(#"\p{N}"#)])),
    (["laguna"], WordCutting(patterns: [lines, TokenizerDefinition.qwen2Pattern])),
    (
      [
        "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4",
        "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum",
        "modern-bert",
      ], WordCutting(patterns: [gpt2])
    ),
    (
      ["jina-v1-en", "jina-v2-code", "roberta-bpe"],
      WordCutting(patterns: [gpt2], addsSeparator: true)
    ),
    (
      [
        "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
        "mellum2",
      ],
      WordCutting(patterns: [gpt2], cutsDigits: true)
    ),
    (
      ["falcon"],
      WordCutting(patterns: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"])
    ),
    (
      ["default"],
      WordCutting(patterns: [
        #"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]",
      ])
    ),
    (
      ["deepseek-llm"],
      WordCutting(patterns: [
        #"[\r\n]"#, #"\s?["# + casedLetters + "]+",
        #"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"#,
        #"\s+$"#, eastAsian, #"\p{N}+"#,
      ])
    ),
    (
      ["deepseek-coder"],
      WordCutting(patterns: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, eastAsian, #"\p{N}"#])
    ),
    (
      ["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"], WordCutting(patterns: deepSeek3)
    ),
    (
      ["spark2_5"],
      WordCutting(patterns: [
        #"\p{N}{1,3}"#, kanaAndIdeographs, deepSeek("", #"[\r\n]"#), #"\p{N}"#,
      ])
    ),
    (
      ["afmoe"],
      WordCutting(patterns: [
        #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#, afmoeScripts,
        deepSeek(#"[\r\n]*"#, #"\s*[\r\n]+"#),
      ])
    ),
    (
      ["youtu"],
      WordCutting(
        patterns: [
          #"[\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|"#
            + #"[！…“”‘’—：；，\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|"#
            + kanaAndIdeographs,
          casedWords(contractions + "?", #"\p{N}"#),
        ], ignoresMerges: true)
    ),
    (
      ["tekken"],
      WordCutting(
        patterns: [casedWords("", #"\p{N}"#)], ignoresMerges: true, addsBeginning: true)
    ),
    (
      ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], WordCutting(patterns: [gpt4o])
    ),
    (["granite-embed-multi-97m"], WordCutting(patterns: [gpt4o], ignoresMerges: true)),
    (
      ["tiny_aya", "cohere2moe"],
      WordCutting(patterns: [#"\d{1,3}(?=(?:\d{3})*\b)"#, gpt4o])
    ),
    (["superbpe"], WordCutting(patterns: [#"\p{N}+"#, #"(?=(\d{3})+(?!\d))"#])),
    (["poro-chat", "bloom", "gpt3-finnish"], WordCutting(patterns: [bloom])),
    (["viking"], WordCutting(patterns: [bloom, #"\p{N}"#])),
    (
      ["jais-2"],
      WordCutting(patterns: [
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"# + marks + #"|\s*[\r\n]+|"#
          + [512, 256, 128, 64, 32, 16, 8, 4].map { #"\s{\#($0)}(?!\S)|"# }.joined()
          + #"\s{1,2}(?!\S)|\s{1}"#
      ])
    ),
    (
      ["chameleon"],
      WordCutting(
        patterns: [
          "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", #"([\t\n]|    |  )"#,
          #"\p{N}"#, #"[\p{P}!-/:-@\[-`{-~]"#, gpt2,
        ], addsBeginning: true)
    ),
    (
      ["bailingmoe", "bailingmoe2", "llada-moe"],
      WordCutting(patterns: [
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|"#
          + #"\s*[\r\n]|\s+(?!\S)|\s+"#
      ])
    ),
    (
      ["seed-coder"],
      WordCutting(patterns: [
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|"# + spaces
      ])
    ),
    (
      ["exaone-moe"],
      WordCutting(patterns: [
        contractions + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|"#
          + #" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#
      ])
    ),
  ]
}
