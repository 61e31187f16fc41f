//! A configuration checked whole: models loaded, conditions compiled, names resolved. Nothing is started here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dokuei_dimse::{AcceptPolicy, ListenerConfig, Peer, RequestorConfig, Timeouts};
use dokuei_inference::Model;
use dokuei_pipeline::{
    DestinationSetup, FailoverSetup, Opening, PipelineConfig, ReadyModel, RouteConfig, RuleError, Rules, Setup,
};
use dokuei_results::Role;
use dokuei_store::StoreConfig;
use dokuei_types::{NodeIdentity, derived_uid};

use crate::certificates::Security;
use crate::commitment::Peers;
use crate::config::{
    Accept, Config, ConfigError, ConfigFile, Confirm, Destination, Node, Problem, ResultObject, thirty_seconds,
};
use crate::destination::DicomDestination;
use crate::failover;
use crate::fetch::Moves;
use crate::limits;
use crate::machine;
use crate::pace::Paces;
use crate::packages;
use crate::requestor::{self, implementation};
use crate::users::KnownUsers;

/// Everything the node is told, ready to be used.
pub(crate) struct Site {
    pub(crate) file: ConfigFile,
    pub(crate) models: Vec<Arc<Model>>,
    pub(crate) routes: Vec<RouteConfig>,
    pub(crate) security: Security,
}

impl Site {
    /// Checks a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem that was found, each at its line.
    pub(crate) fn check(file: ConfigFile) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        nobody_may_send(&file, &mut problems);
        same_names(&file, &mut problems);
        limits::check(&file, &mut problems);
        failover::check(&file, &mut problems);
        room_is_made_in_time(&file, &mut problems);
        the_archive_is_known(&file, &mut problems);
        let security = Security::load(&file, &mut problems);
        let models = match packages::load(&file) {
            Ok(models) => models,
            Err(ConfigError::Invalid { problems: found, .. }) => {
                problems.extend(found);
                return Err(file.invalid(problems));
            }
            Err(error) => return Err(error),
        };
        let routes = match file.config.routes.as_slice() {
            [] => vec![default_route(&file, &models)],
            routes => routes.iter().map(|route| route.as_ref().clone()).collect(),
        };
        let site = Self { file, models, routes, security };
        if let Err(errors) = site.rules() {
            problems.extend(errors.iter().map(|error| site.rule_problem(error)));
        }
        if let Err(errors) = site.ready_models() {
            problems.extend(errors.iter().map(|error| Problem::new(error.to_string())));
        }
        if problems.is_empty() { Ok(site) } else { Err(site.file.invalid(problems)) }
    }

    /// The routes, compiled.
    pub(crate) fn rules(&self) -> Result<Rules, Vec<RuleError>> {
        let models: Vec<&str> = self.models.iter().map(|model| model.identity().name.as_str()).collect();
        let destinations: Vec<&str> =
            self.file.config.destinations.iter().map(|entry| entry.as_ref().name.as_str()).collect();
        let rules = Rules::compile(&self.routes, &models, &destinations)?;
        let mut senders = BTreeMap::new();
        for entry in &self.file.config.destinations {
            // Of several the first gets it, or one sender would get it several times.
            senders.entry(entry.as_ref().ae_title.to_string()).or_insert_with(|| entry.as_ref().name.clone());
        }
        Ok(rules.matching(self.file.config.rules.matching).returning(senders))
    }

    fn rule_problem(&self, error: &RuleError) -> Problem {
        let routes = &self.file.config.routes;
        let Some(route) = routes.iter().find(|entry| entry.as_ref().name == error.route) else {
            return Problem::new(error.to_string());
        };
        let span = self.file.find(route.span(), error.key, &error.text);
        let problem = self.file.problem(span, error.to_string());
        match error.help() {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    /// The models with their own conditions compiled.
    pub(crate) fn ready_models(&self) -> Result<Vec<Arc<ReadyModel>>, Vec<RuleError>> {
        self.models.iter().map(|model| ReadyModel::new(Arc::clone(model) as _).map(Arc::new)).collect()
    }

    /// What the pipeline works with.
    ///
    /// # Errors
    /// What [`check`](Self::check) has found already, had it been called on this value.
    pub(crate) fn setup(&self, paces: &Paces, moves: &Moves) -> Result<Setup, Vec<RuleError>> {
        let own = &self.file.config.node.ae_title;
        let named = |name: &String| self.destinations().map(|(known, _)| known).find(|known| known.name == *name);
        let destinations = self.destinations().map(|(destination, config)| DestinationSetup {
            name: destination.name.clone(),
            roles: destination.objects.iter().map(|object| role(*object).as_str().to_owned()).collect(),
            ae_title: Some(destination.ae_title.clone()),
            destination: Arc::new(DicomDestination::new(config, destination, own, paces, moves)),
            confirm_within: match destination.confirm {
                Confirm::No => None,
                Confirm::Commitment | Confirm::Find => Some(destination.confirm_within.0),
            },
            failover: destination.failover.as_ref().map(|to| FailoverSetup {
                to: to.clone(),
                ae_title: named(to).map(|other| other.ae_title.clone()),
                after: destination.failover_after.0,
            }),
            opening: Opening::new(destination.hours.clone()),
        });
        Ok(Setup {
            rules: self.rules()?,
            models: self.ready_models()?,
            destinations: destinations.collect(),
            archive: self.file.config.retention.archive.clone(),
            node: identity(&self.file.config.node),
            retention: self.file.config.retention.policy(),
            style: self.file.config.results.capture_style(),
        })
    }

    /// The destinations, and how each is called.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = (&Destination, RequestorConfig)> {
        let own = &self.file.config.node.ae_title;
        self.file.config.destinations.iter().zip(&self.security.destinations).map(move |(entry, tls)| {
            let destination = entry.as_ref();
            (destination, requestor::to_destination(destination, own, tls.clone()))
        })
    }

    /// How the peers are called that asked for storage commitment: where they say, else as the destination they are.
    pub(crate) fn committed_peers(&self) -> Peers {
        let own = &self.file.config.node.ae_title;
        let destinations = self.destinations().map(|(destination, config)| (destination.ae_title.clone(), config));
        let peers = self.file.config.peers.iter().map(toml::Spanned::as_ref).filter_map(|peer| {
            let config =
                requestor::with(peer.report_to.as_ref()?, peer.ae_title.clone(), own.clone(), thirty_seconds());
            Some((peer.ae_title.clone(), config))
        });
        destinations.chain(peers).collect()
    }

    /// What the listener is told.
    pub(crate) fn listener(&self) -> ListenerConfig {
        let config = &self.file.config;
        let mut listener = ListenerConfig::new(config.node.ae_title.clone(), implementation());
        listener.store_private_sop_classes = config.node.store_private_sop_classes;
        listener.store_private_transfer_syntaxes = config.node.store_private_sop_classes;
        listener.tls = self.security.server.clone();
        listener.accept = match accept(config) {
            Accept::Any => AcceptPolicy::Any,
            Accept::Listed => AcceptPolicy::Listed(
                config
                    .peers
                    .iter()
                    .map(toml::Spanned::as_ref)
                    .map(|peer| Peer {
                        ae_title: peer.ae_title.clone(),
                        network: peer.address.map(|network| network.0),
                    })
                    .collect(),
            ),
        };
        let users = config.users.iter().map(|user| (user.as_ref().name.clone(), user.as_ref().passcode.clone()));
        listener.users = KnownUsers::of(users.collect()).map(|users| Arc::new(users) as _);
        let limits = &config.limits;
        listener.limits.associations = limits.associations;
        listener.limits.associations_per_peer = limits.associations_per_peer;
        listener.limits.half_open = machine::open_files().map_or(limits.connections_pending, |files| {
            limits.connections_pending.min(machine::connections_pending_max(limits, files))
        });
        listener.limits.pdu_length = u32::try_from(limits.pdu_length.0).unwrap_or(u32::MAX);
        listener.limits.operations_window = limits.operations_window.get();
        listener.limits.command_set_bytes = usize::try_from(limits.command_set_size.0).unwrap_or(usize::MAX);
        listener.limits.instance_size = limits.instance_size.0;
        listener.limits.bytes_per_second_min = limits.bytes_per_second_min;
        listener.timeouts = Timeouts {
            artim: limits.associate_timeout.0,
            between_messages: limits.idle_timeout.0,
            within_message: limits.stall_timeout.0,
            drain: limits.drain_timeout.0,
            ..Timeouts::default()
        };
        listener
    }

    pub(crate) fn store(&self) -> StoreConfig {
        let config = &self.file.config;
        StoreConfig {
            disk_free_min: config.limits.disk_free_min.0,
            durability: config.node.durability,
            preallocate_bytes: config.node.preallocate.0,
            versions: config.node.duplicates,
            queue_max: config.limits.queue_depth,
            journal: config.audit.is_on(),
            ..StoreConfig::new(&config.node.data_dir)
        }
    }

    pub(crate) fn pipeline(&self) -> PipelineConfig {
        let config = &self.file.config;
        let mut pipeline = PipelineConfig::default();
        pipeline.workers = config.node.workers.unwrap_or(pipeline.workers).max(1);
        pipeline.limits.pixels.pixels_per_frame = config.limits.pixels_per_frame;
        pipeline
    }
}

/// Old instances must go before new ones are refused.
fn room_is_made_in_time(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let (free, min) = (&file.config.retention.free, &file.config.limits.disk_free_min);
    if free.is_some_and(|free| free.0 <= min.0) {
        let words = "`retention.free` is not above `limits.disk_free_min`: senders would be refused first";
        let problem = file.problem_at("retention.free", words);
        problems.push(problem.help(format!("write more than {min}")));
    }
}

/// What was removed can be asked for.
fn the_archive_is_known(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let config = &file.config;
    let is_known = |name: &String| config.destinations.iter().any(|entry| entry.as_ref().name == *name);
    if let Some(name) = config.retention.archive.as_ref().filter(|name| !is_known(name)) {
        let problem = file.problem_at("retention.archive", format!("no destination is named {name:?}"));
        problems.push(problem.help("name a [[destination]] that has the images and sends them by C-GET or C-MOVE"));
    }
}

/// What result objects say of a node: the same after every start, since its UID follows from its name.
pub(crate) fn identity(node: &Node) -> NodeIdentity {
    NodeIdentity {
        ae_title: node.ae_title.to_string(),
        manufacturer: "Dokuei project".to_owned(),
        model_name: "Dokuei".to_owned(),
        serial_number: node.serial_number.clone(),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        device_uid: derived_uid(&["node", node.ae_title.as_str(), &node.serial_number]),
    }
}

fn role(object: ResultObject) -> Role {
    match object {
        ResultObject::Sr => Role::Sr,
        ResultObject::Sc => Role::Sc,
        ResultObject::Pr => Role::Pr,
        ResultObject::Ko => Role::Ko,
        ResultObject::Pdf => Role::Pdf,
        ResultObject::Seg => Role::Seg,
    }
}

/// Who may associate: as configured, or anyone where only this machine can reach us.
pub(crate) fn accept(config: &Config) -> Accept {
    let mut addresses = std::iter::once(config.node.listen).chain(config.tls.iter().map(|tls| tls.as_ref().listen));
    let only_here = addresses.all(|address| address.ip().is_loopback());
    config.node.accept.unwrap_or(if only_here { Accept::Any } else { Accept::Listed })
}

/// Without any route: chest radiographs to every model, results to every destination.
fn default_route(file: &ConfigFile, models: &[Arc<Model>]) -> RouteConfig {
    let mut route: RouteConfig = toml::from_str(
        r#"
            name = "chest radiographs"
            when = [
              "modality in ['CR', 'DX']",
              "body_part == 'CHEST' || study_description.matches('(?i)chest|thorax')",
            ]
        "#,
    )
    .expect("the default route is well-formed");
    route.models = models.iter().map(|model| model.identity().name.clone()).collect();
    route.send_results = file.config.destinations.iter().map(|entry| entry.as_ref().name.clone()).collect();
    route
}

fn nobody_may_send(file: &ConfigFile, problems: &mut Vec<Problem>) {
    if accept(&file.config) == Accept::Listed && file.config.peers.is_empty() {
        let ae_title = &file.config.node.ae_title;
        let words = format!("nobody could send: {ae_title} accepts listed peers only, and no [[peer]] is listed");
        let help = "list each sender as a [[peer]] with ae_title and address, or set accept = \"any\" in [node]";
        problems.push(file.problem_at("node.accept", words).help(help));
    }
}

fn same_names(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for entry in &file.config.destinations {
        if entry.as_ref().name.starts_with('@') {
            let span = file.find(entry.span(), "name", &entry.as_ref().name);
            let problem = file.problem(span, format!("{:?} is no name for a destination", entry.as_ref().name));
            problems.push(problem.help("names that begin with @ have meanings of their own, such as @sender"));
        }
        if !names.insert(entry.as_ref().name.as_str()) {
            let span = file.find(entry.span(), "name", &entry.as_ref().name);
            problems.push(file.problem(span, format!("a second destination is named {:?}", entry.as_ref().name)));
        }
    }
    let mut users = BTreeSet::new();
    for entry in &file.config.users {
        if !users.insert(entry.as_ref().name.as_str()) {
            let span = file.find(entry.span(), "name", &entry.as_ref().name);
            problems.push(file.problem(span, format!("a second user is named {:?}", entry.as_ref().name)));
        }
    }
}
