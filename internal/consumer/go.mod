module consumer.example

go 1.26.3

require bottle.internal v0.0.0

replace bottle.internal => ../..
