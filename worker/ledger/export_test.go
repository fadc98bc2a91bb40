package ledger

// Decode reads an entry as it is stored.
var Decode = decode
