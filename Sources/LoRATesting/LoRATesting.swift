// LoRATesting
