// LoRAAutogradTests
