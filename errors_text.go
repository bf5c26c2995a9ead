package broach

// What calls are told that do not come to an end of their own, here or at a peer.
const (
	textRestart  = "the process ended or restarted while the call was in flight"
	textOffline  = "the provider was found offline while the call was in flight"
	textCut      = "the provider lives, but this node does not reach it"
	textDraining = "the provider is leaving"
	textClosed   = "this node was closed"
	textOpen     = "the function failed there again and again: it is not called for up to 5s"
	textMost     = "the function already runs as often as it may at once"
	textPaused   = "the function does not serve now"
	textBusy     = "the provider's queue is full"
	textDeadline = "no reply within the deadline"
)
