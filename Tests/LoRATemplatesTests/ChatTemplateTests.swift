import Foundation
import LoRAJSON
import LoRATemplates
import Testing

/// Whole conversations, as `apply_chat_template` renders them.
@Suite struct ChatTemplateTests {
  @Test func rendersAsTransformersDoes() throws {
    let fixture = try TemplateFixtures.json("conversations.json")
    let cases = try #require(fixture["cases"]?.arrayValue)
    #expect(cases.count >= 150)
    var errors = 0
    for entry in cases {
      let file = try #require(entry["file"]?.stringValue)
      let name = try #require(entry["conversation"]?.stringValue)
      let given = try #require(fixture["variables"]?[name])
      let template = try TemplateFixtures.template(file)
      let found = outcome { () throws(TemplateError) in
        try template.render(
          TemplateFixtures.conversation(given), now: TemplateFixtures.clock)
      }
      switch found {
      case .success(let rendered):
        #expect(
          entry["text"]?.stringValue?.hasSameBytes(as: rendered.text) == true, "\(file), \(name)")
      case .failure(let error):
        errors += 1
        #expect(entry["error"] != nil, "\(file), \(name): \(error)")
      }
    }
    #expect(errors > 10)
  }

  @Test func choosesTheTemplateOfTools() throws {
    let templates = ChatTemplates(named: ["default": "plain", "tool_use": "tools", "rag": "rag"])
    #expect(try templates.template().template.source == "plain")
    #expect(try templates.template(hasTools: true).template.source == "tools")
    #expect(try templates.template(named: "rag", hasTools: true).template.source == "rag")
    #expect(try ChatTemplates("one").template(hasTools: true).template.source == "one")
    let error = #expect(throws: TemplateError.self) {
      try ChatTemplates(named: ["rag": ""]).template()
    }
    #expect(error?.message.contains("\"rag\"") == true)
  }

  @Test func variablesTakeThePlaceOfSpecialTokens() throws {
    let template = try ChatTemplate(
      "{{ bos_token }}{{ tools }}{{ documents }}", specialTokens: ["bos_token": "<s>"])
    let messages: [TemplateValue] = [["role": "user"]]
    #expect(try template.render(Conversation(messages: messages)).text == "<s>NoneNone")
    let given = Conversation(messages: messages, variables: ["bos_token": "", "documents": [1]])
    #expect(try template.render(given).text == "None[1]")
  }

  @Test func refusesWhatIsNoConversation() throws {
    let template = try ChatTemplate("x")
    for conversation in [
      Conversation(messages: []), Conversation(messages: ["Hello"]),
      Conversation(messages: [["role": "user"]], tools: ["get_weather"]),
      Conversation(messages: [["role": "user"]], variables: [1]),
    ] {
      let error = #expect(throws: TemplateError.self) { try template.render(conversation) }
      #expect(error?.kind == .input)
    }
  }
}
