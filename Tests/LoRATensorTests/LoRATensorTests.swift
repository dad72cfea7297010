// LoRATensorTests
