package trace

// The semantic conventions of OpenTelemetry 1.45, whose page on RPC says Stable. The package semconv of the library is
// older, and knows rpc.status_code by another name: TestTheShippedConventionsAreOlder fails when it has caught up.
const (
	schemaURL = "https://opentelemetry.io/schemas/1.45.0"

	rpcSystemName     = "rpc.system.name"
	rpcMethod         = "rpc.method"
	rpcMethodOriginal = "rpc.method_original"
	rpcStatusCode     = "rpc.status_code"
	errorType         = "error.type"
	serverAddress     = "server.address"
	peerAddress       = "network.peer.address"
	peerPort          = "network.peer.port"

	messagingSystem        = "messaging.system"
	messagingDestination   = "messaging.destination.name"
	messagingOperation     = "messaging.operation.name"
	messagingOperationType = "messaging.operation.type"

	clientDuration = "rpc.client.call.duration"
	serverDuration = "rpc.server.call.duration"

	system = "broach"
	other  = "_OTHER" // a method that nobody offers, by these conventions
)

// What they have no names for.
const (
	attrForm     = "broach.form"     // how it was called, if not for one answer: one_way, all_answers, streaming
	attrExecuted = "broach.executed" // of a call that failed: no, yes, maybe
	attrAttempts = "broach.attempts" // how many providers were tried, counting one that was tried twice as two
	attrAttempt  = "broach.attempt"  // which of them an event of that name is about, from 1 on
	attrWait     = "broach.wait"     // s; how long what was served waited for a worker before its span, from 1 ms on
	attrTimer    = "broach.timer"    // the name of OneOwner

	attemptEvent = "broach.attempt"
)
