//! An agent's way to its aggregator: address, TCP, TLS, and whether it is known there by its name.

use orgtrail_agent::{Config, GreetStep, greet};

use super::Context;
use super::check::{Advice, Chain, Check};

/// Greets the aggregator as this agent would, and hangs up.
pub(super) async fn aggregator(config: &Config, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("aggregator {}", config.aggregator.endpoint));
    let steps = [GreetStep::Files, GreetStep::Tcp, GreetStep::Connect, GreetStep::Greet];
    let greeted = tokio::time::timeout(context.patience, greet(config)).await;
    let (failed, problem) = match greeted {
        Ok(Ok(())) => (None, String::new()),
        Ok(Err(refused)) => (Some(refused.step), refused.problem),
        Err(_) => (Some(GreetStep::Greet), format!("no answer within {} s", context.patience.as_secs())),
    };
    for step in steps {
        if failed == Some(step) {
            chain.fail(hop(step), problem, vec![advice(step, config)]);
            let rest: Vec<_> =
                steps.iter().skip_while(|other| **other != step).skip(1).map(|step| hop(*step)).collect();
            chain.skip_all(&rest);
            break;
        }
        if step == GreetStep::Files && config.aggregator.tls.is_none() {
            continue;
        }
        chain.ok(
            hop(step),
            if step == GreetStep::Greet { format!("welcome, agent {}", config.name) } else { String::new() },
        );
    }
    chain.end()
}

fn hop(step: GreetStep) -> &'static str {
    match step {
        GreetStep::Files => "tls files",
        GreetStep::Tcp => "tcp",
        GreetStep::Connect => "connect",
        GreetStep::Greet => "greeting",
    }
}

fn advice(step: GreetStep, config: &Config) -> Advice {
    Advice::text(match step {
        GreetStep::Files => "correct [aggregator.tls]".to_owned(),
        GreetStep::Tcp => format!(
            "start the aggregator (`listen` in its file), and open the way to {}: security group, firewall, DNS",
            config.aggregator.endpoint
        ),
        GreetStep::Connect => "the port is open and speaks no gRPC with these certificates: the authority in `ca_file` must have \
                               signed the other side's, on both sides; the aggregator's must carry the endpoint's host or \
                               `server_name`; http:// meets no https://"
            .to_owned(),
        GreetStep::Greet => format!(
            "in the aggregator's file: [[agents]] with name = \"{}\" and its accounts; under TLS the certificate must carry that \
             name as a DNS name",
            config.name
        ),
    })
}
