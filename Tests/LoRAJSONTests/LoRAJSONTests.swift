// LoRAJSONTests
